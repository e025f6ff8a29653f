"""From a preloaded Kafka topic to readable rows: Headrace, stock Faust, Quix Streams, Bytewax and Flink SQL.

`python -m benchmarks.streams --help`; what is compared, and what differs, is in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.streams.contest import DIVISORS, Figure, WrongResult, run_once, share
from benchmarks.streams.registry import schema_registry
from benchmarks.streams.report import machine, table
from benchmarks.streams.servers import Servers, servers
from benchmarks.streams.workload import WINDOWS, Window, Workload
from headrace.schemas.errors import HeadraceError

_RESULTS = Path(__file__).resolve().parent / "results"


def main() -> None:
    options = _options()
    report = _Report()
    report.say(f"# Streams, {time.strftime('%Y-%m-%d %H:%M')}\n\n{machine()}")
    with servers(options.kafka, options.redis) as both, schema_registry() as registry:
        for kind in options.format:
            for keys in options.keys:
                for window in options.window:
                    _compare(report, options, both, registry, window, Workload(options.events, keys, kind))
    print(f"written to {report.file}", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.streams",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Slow peers get a part of the events: "
        + ", ".join(f"{peer} 1/{divisor}" for peer, divisor in DIVISORS.items() if divisor > 1),
    )
    parser.add_argument("--peers", type=_peers, default=list(DIVISORS), help=f"of {','.join(DIVISORS)}")
    parser.add_argument("--events", type=int, default=2_000_000, help="of the quickest (default 2,000,000)")
    parser.add_argument(
        "--keys", type=int, nargs="+", default=[10_000, 1_000_000], help="default 10000 1000000"
    )
    parser.add_argument("--window", nargs="+", choices=list(WINDOWS), default=list(WINDOWS))
    parser.add_argument("--format", nargs="+", choices=["avro", "json"], default=["avro", "json"])
    parser.add_argument("--rounds", type=int, default=3, help="each peer in turn, so often (default 3)")
    parser.add_argument("--workers", type=int, default=1, help="Headrace worker processes (default 1)")
    parser.add_argument("--kafka", help="host:port of a running broker; else one is started")
    parser.add_argument("--redis", help="URL of a running Redis, an empty database; else one is started")
    return parser.parse_args()


def _peers(text: str) -> list[str]:
    unknown = set(text.split(",")) - DIVISORS.keys()
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: wanted some of {', '.join(DIVISORS)}")
    return text.split(",")


class _Report:
    """Prints, and keeps in a file what it printed."""

    def __init__(self) -> None:
        _RESULTS.mkdir(exist_ok=True)
        self.file = _RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.md"

    def say(self, text: str) -> None:
        print(text, flush=True)
        with self.file.open("a") as file:
            file.write(text + "\n")


def _compare(
    report: _Report,
    options: argparse.Namespace,
    both: Servers,
    registry: str,
    window: Window,
    workload: Workload,
) -> None:
    length_ms, hop_ms = WINDOWS[window]
    report.say(
        f"\n## {workload.keys:,} keys, {window} {length_ms // 60_000} min / {hop_ms // 60_000} min, "
        f"{workload.format}\n"
    )
    figures: dict[str, list[Figure]] = {peer: [] for peer in options.peers}
    failed: dict[str, str] = {}
    for peer in _turns(options.peers, options.rounds):
        if peer not in failed:
            part = Workload(share(peer, workload.events), workload.keys, workload.format)
            try:
                figures[peer].append(run_once(peer, part, window, both, registry, options.workers))
            except (WrongResult, HeadraceError, TimeoutError, ValueError) as error:
                failed[peer], figures[peer] = f"{type(error).__name__}: {error}", []
            else:
                print(f"{peer}: {figures[peer][-1].rate:,.0f} events/s, verified", file=sys.stderr)
    report.say(table(figures))
    for peer, why in failed.items():
        report.say(f"\nNo figure for {peer}: {why}")


def _turns(peers: Sequence[str], rounds: int) -> Iterator[str]:
    """A B C A B C …: what changes on the machine in between touches all alike."""
    for _ in range(rounds):
        yield from peers


if __name__ == "__main__":
    main()
