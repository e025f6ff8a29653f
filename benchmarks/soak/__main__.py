"""An hour of every process at constant load, killed every ten minutes: nothing grows, every value is right.

A project as `headrace init` writes it, with shorter times, on a real Kafka and Redis. Orders come at a
constant rate, predictions are asked for over HTTP, and their labels follow. Worker, join, train and serve are
killed (-9) every few minutes and started anew. Sampled are memory, threads and descriptors of every process
and server, and topics, bytes of compacted topics, keys of the store, model files and files left unfinished.

It ends with a table, and exit code 1 when something has grown, or a feature, an example or a count is another
than it must be.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.soak.expected import problems
from benchmarks.soak.load import Orders, Questions
from benchmarks.soak.project import KAFKA_DATA, PROCESSES, SoakProject
from benchmarks.soak.samples import Samples
from benchmarks.streams.report import machine

_SAMPLE_S = 10.0


def main() -> None:
    options = _options()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="headrace-soak-") as folder:
        found = _soak(Path(folder), options)
    print("\n".join(found) or "nothing grew, and every value is what it must be")
    sys.exit(1 if found else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("SOAK_MINUTES", "60")))
    parser.add_argument("--restart-minutes", type=float, default=10.0, help="default 10")
    parser.add_argument("--rate", type=int, default=300, help="orders a second, default 300")
    parser.add_argument("--customers", type=int, default=2200, help="default 2,200")
    parser.add_argument("--questions", type=float, default=4.0, help="predictions a second, default 4")
    return parser.parse_args()


def _soak(folder: Path, options: argparse.Namespace) -> list[str]:
    samples = Samples()
    with SoakProject(folder) as project:
        orders = Orders(project, options.customers, options.rate)
        questions = Questions(project, options.customers, options.questions)
        with orders, questions:
            _run(project, samples, options)
        orders.wait_visible()
        questions.wait_learned()
        samples.print()
        return [*samples.grown(), *problems(project, orders, questions)]


def _run(project: SoakProject, samples: Samples, options: argparse.Namespace) -> None:
    began = restarted = time.monotonic()
    while (now := time.monotonic()) < began + options.minutes * 60:
        if now - restarted >= options.restart_minutes * 60:
            restarted = now
            for name in PROCESSES:
                project.restart(name)
        project.check()
        samples.take(project, KAFKA_DATA)
        time.sleep(_SAMPLE_S)


if __name__ == "__main__":
    main()
