"""From an event's time to its effect being readable, at a steady rate.

Events are due at even distances; an event's latency runs from the moment it is due, whenever it was truly
sent, to the moment a client that polls the worker's progress sees it covered: rows are stored before the
progress that speaks of them. All rows are compared with the oracle at the end.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field

import numpy as np
from confluent_kafka import Producer
from numpy.typing import NDArray

from benchmarks.streams.measure import Usage
from benchmarks.streams.outputs import differences, online_totals
from benchmarks.streams.own_run import OwnRun
from benchmarks.streams.report import machine
from benchmarks.streams.servers import Servers, servers
from benchmarks.streams.workload import PARTITIONS, Encoder, Payments

_HEAD_START_S = 1.0
_PAUSE_S = 0.0005
_PATIENCE_S = 60.0


def main() -> None:
    options = _options()
    print(machine())
    with servers(options.kafka, options.redis) as both:
        _measure(options, both)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams.latency", description=__doc__)
    parser.add_argument("--rate", type=int, default=20_000, help="events a second (default 20,000)")
    parser.add_argument("--seconds", type=int, default=30, help="default 30")
    parser.add_argument("--warm-up", type=int, default=5, help="seconds before that, not counted (default 5)")
    parser.add_argument("--keys", type=int, default=10_000, help="default 10,000")
    parser.add_argument("--format", choices=["avro", "json"], default="avro")
    parser.add_argument("--kafka", help="host:port of a running broker; else one is started")
    parser.add_argument("--redis", help="URL of a running Redis, an empty database; else one is started")
    return parser.parse_args()


def _measure(options: argparse.Namespace, both: Servers) -> None:
    dice = np.random.default_rng(7)
    count = options.rate * (options.warm_up + options.seconds)
    account, cents = dice.integers(0, options.keys, count), dice.integers(-5000, 20_000, count)
    with OwnRun(both, options.format) as run:
        worker = run.start()
        run.wait_readable()
        # Encoded before the clock starts, since each tells the moment it is due.
        begin = time.time() + _HEAD_START_S + count / 50_000
        due = begin + np.arange(count) / options.rate
        payments = Payments(account, (due * 1000).astype(np.int64), cents)
        paced = _Paced(run, both, payments, due, Encoder(options.format))
        assert worker.pid is not None
        usage = Usage([worker.pid])
        paced.drive()
        usage.stop()
        problem = differences(online_totals(run.plan, both.redis, options.keys), payments.totals(0, 2**62))
        if problem:
            raise SystemExit(f"no figure: {problem}")
        counted = begin + options.warm_up
        cores = usage.cpu_s(counted, due[-1]) / (due[-1] - counted)
        latency, lag = paced.latency_ms(counted), paced.lag_ms(counted)
    print(
        f"{options.rate:,} events/s for {options.seconds} s, {options.keys:,} keys, {options.format}, "
        "sliding 1 h / 5 min, every row as the oracle's\n"
        f"event to readable, ms: {_spread(latency)}\n"
        f"of which the producer was late, ms: {_spread(lag)}\n"
        f"worker: {cores:.2f} of a core, {usage.peak_bytes / 2**20:,.0f} MiB"
    )


def _spread(values: NDArray[np.float64]) -> str:
    p50, p99 = np.quantile(values, [0.5, 0.99])
    return f"p50 {p50:.1f}, p99 {p99:.1f}, max {values.max():.1f}"


@dataclass
class _Paced:
    """Sends events as they fall due and notes when they are readable."""

    run: OwnRun
    both: Servers
    payments: Payments
    due: NDArray[np.float64]  # epoch seconds, ascending
    encode: Encoder
    sent: NDArray[np.float64] = field(init=False)
    readable: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.sent, self.readable = np.full((2, len(self.due)), np.nan)
        partition = self.payments.account % PARTITIONS
        self._rows = [np.flatnonzero(partition == p) for p in range(PARTITIONS)]  # by offset
        self._seen = [0] * PARTITIONS
        columns = (self.payments.account, self.payments.event_ms, self.payments.cents)
        self._messages = [
            (a % PARTITIONS, b"%d" % a, self.encode(a, at, cents))
            for a, at, cents in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def drive(self) -> None:
        """Block until everything is readable.

        Raises
        ------
        SystemExit
            When the encoding took too long, or the worker falls behind for good.
        """
        if time.time() > self.due[0]:
            raise SystemExit("this machine encodes too slowly; give a lower --rate or fewer --seconds")
        producer = Producer(
            {"bootstrap.servers": self.both.kafka, "enable.idempotence": True, "linger.ms": 1, "log_level": 4}
        )
        at, count = 0, len(self.due)
        while sum(self._seen) < count:
            now = time.time()
            end = int(np.searchsorted(self.due, now, "right"))
            for partition, key, value in self._messages[at:end]:
                producer.produce(self.run.topic, value, key, partition)
            self.sent[at:end] = now
            at = end
            producer.poll(0)
            self._look()
            if now > self.due[-1] + _PATIENCE_S:
                raise SystemExit(f"{count - sum(self._seen)} events are not readable after {_PATIENCE_S:g} s")
            time.sleep(_PAUSE_S)

    def _look(self) -> None:
        found = self.run.progress()
        now = time.time()
        for partition, progress in found.items():
            seen = self._seen[partition]
            self.readable[self._rows[partition][seen : progress.next_offset]] = now
            self._seen[partition] = progress.next_offset

    def latency_ms(self, since: float) -> NDArray[np.float64]:
        """Of the events due from then on, shape (n,)."""
        counted = self.due >= since
        return (self.readable - self.due)[counted] * 1000

    def lag_ms(self, since: float) -> NDArray[np.float64]:
        """How much later than due they were handed to the producer, shape (n,)."""
        counted = self.due >= since
        return (self.sent - self.due)[counted] * 1000


if __name__ == "__main__":
    main()
