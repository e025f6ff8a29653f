"""An hour at constant load with restarts: nothing grows, and every value is that of the oracle.

A producer sends events at a constant rate, of so many accounts. The worker is killed (-9) every few minutes
and started anew. Memory, threads and descriptors of every process, topics and keys of the store are sampled.
It ends with a table, and exit code 1 when something has grown or a value is another than it must be.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import redis

from benchmarks.streams.outputs import differences, online_totals
from benchmarks.streams.own_run import OwnRun
from benchmarks.streams.servers import Servers, servers
from benchmarks.streams.topic_log import produce
from benchmarks.streams.workload import PARTITIONS, WINDOWS, Encoder, Payments, Record
from headrace.streams.connections.kafka_admin import KafkaAdmin

_SAMPLE_S = 10.0
_MIB = 2**20
# Of the median of the last quarter over that of the second: so much more is growth.
_ALLOWED = {"MiB": (1.25, 32), "threads": (1.0, 4), "descriptors": (1.0, 16)}
_BROKER = "java"  # its heap grows to what it may have, whatever is asked of it


@dataclass
class _Samples:
    """Measures by process and name, in order of time."""

    values: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def add(self, process: str, name: str, value: float) -> None:
        self.values.setdefault((process, name), []).append(value)

    def quarters(self, key: tuple[str, str]) -> tuple[float, float]:
        """Median of the second quarter of the time, and of the last."""
        values = self.values[key]
        quarter = max(len(values) // 4, 1)
        return float(np.median(values[quarter : 2 * quarter] or values)), float(np.median(values[-quarter:]))

    def grown(self, key: tuple[str, str]) -> bool:
        process, name = key
        if (process, name) == (_BROKER, "MiB"):
            return False
        factor, more = _ALLOWED.get(name, (1.0, 0))
        before, after = self.quarters(key)
        return after > before * factor + more


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("SOAK_MINUTES", "60")))
    parser.add_argument("--restart-minutes", type=float, default=10.0, help="default 10")
    parser.add_argument("--rate", type=int, default=300, help="events/s, default 300")
    parser.add_argument("--keys", type=int, default=2200, help="default 2,200")
    options = parser.parse_args()
    with servers(None, None) as both:
        problems = _soak(both, options)
    print("\n".join(problems) or "nothing grew, every value is that of the oracle")
    sys.exit(1 if problems else 0)


def _soak(both: Servers, options: argparse.Namespace) -> list[str]:
    samples, sent = _Samples(), []
    with OwnRun(both, "avro") as run:
        worker, began = run.start(), time.time()
        restarted = sampled = began
        while (now := time.time()) < began + options.minutes * 60:
            sent.append(_payments(options, now))
            produce(both.kafka, run.topic, _records(sent[-1]))
            if now - restarted >= options.restart_minutes * 60:
                restarted = now
                worker.kill()
                worker = run.start()
            if now - sampled >= _SAMPLE_S:
                sampled = now
                _sample(samples, both)
            time.sleep(max(now + 1 - time.time(), 0))
        run.wait_readable()
        problem = _difference(run, both, sent, options.keys)
    _print(samples)
    grown = [f"{process} {name} grew" for process, name in samples.values if samples.grown((process, name))]
    return [*grown, *([problem] if problem else [])]


def _payments(options: argparse.Namespace, now: float) -> Payments:
    """A second of events, at the time they are sent."""
    accounts = np.random.default_rng(int(now)).integers(0, options.keys, options.rate)
    event_ms = int(now * 1000) + np.arange(options.rate) * 1000 // options.rate
    return Payments(accounts, event_ms, accounts % 10_000)


def _records(payments: Payments) -> Iterator[Record]:
    encode = Encoder("avro")
    columns = (payments.account, payments.event_ms, payments.cents)
    for account, event_ms, cents in zip(*(column.tolist() for column in columns), strict=True):
        yield account % PARTITIONS, b"%d" % account, encode(account, event_ms, cents)


def _sample(samples: _Samples, both: Servers) -> None:
    for pid, name in _processes():
        try:
            status = dict(line.split(":\t", 1) for line in _status(pid) if ":\t" in line)
            samples.add(name, "MiB", int(status["VmRSS"].split()[0]) * 1024 / _MIB)
            samples.add(name, "threads", int(status["Threads"]))
            samples.add(name, "descriptors", len(os.listdir(f"/proc/{pid}/fd")))
        except (FileNotFoundError, ProcessLookupError, KeyError):
            continue  # it has just ended
    samples.add("kafka", "topics", len(KafkaAdmin(both.kafka).metadata().topics))
    samples.add("redis", "keys", redis.Redis.from_url(both.redis).dbsize())


def _processes() -> list[tuple[int, str]]:
    """Children of this process: id and program."""
    path = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    pids = [int(pid) for pid in path.read_text().split()]
    return [(pid, Path(os.readlink(f"/proc/{pid}/exe")).name) for pid in pids]


def _status(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/status").read_text().splitlines()


def _difference(run: OwnRun, both: Servers, sent: list[Payments], keys: int) -> str | None:
    columns = ("account", "event_ms", "cents")
    every = Payments(*(np.concatenate([getattr(one, name) for one in sent]) for name in columns))
    length, hop = WINDOWS["sliding"]
    clocks = [int(every.event_ms[every.account % PARTITIONS == p].max()) for p in range(PARTITIONS)]
    first = {(clock - length) // hop for clock in clocks}
    if len(first) > 1:
        return "partitions ended in different hops: run it again"
    expected = every.totals(first.pop() * hop, max(clocks) + 1)
    return differences(online_totals(run.plan, both.redis, keys), expected) or None


def _print(samples: _Samples) -> None:
    print(f"{'process':20s} {'measure':12s} {'second quarter':>15s} {'last quarter':>15s} {'most':>10s}")
    for process, name in sorted(samples.values):
        before, after = samples.quarters((process, name))
        most = max(samples.values[process, name])
        print(f"{process:20s} {name:12s} {before:15,.1f} {after:15,.1f} {most:10,.1f}")


if __name__ == "__main__":
    main()
