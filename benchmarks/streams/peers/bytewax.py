"""Bytewax: a keyed window fold over a bounded Kafka source, closed windows to Redis in batches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import operators as kafka
from bytewax.dataflow import Dataflow
from bytewax.operators import windowing
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from benchmarks.streams.peers.job import Clock, Job, main
from benchmarks.streams.peers.rows import Rows, decoder

_EPOCH = datetime.fromtimestamp(0, UTC)


class _RedisSink(DynamicSink[Any], StatelessSinkPartition[Any]):
    def __init__(self, job: Job, clock: Clock) -> None:
        self._job, self._clock, self._rows = job, clock, Rows(job.redis, job.name)

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _RedisSink:
        return self

    def write_batch(self, items: list[Any]) -> None:
        job = self._job
        self._rows.write(
            (int(account), number * job.hop_ms + job.window_ms, *total) for account, (number, total) in items
        )
        self._clock.last()


def run(job: Job) -> None:
    decode, clock = decoder(job.format, job.schema), Clock(job)

    def payment(message: Any) -> tuple[str, tuple[datetime, float]]:
        clock.first()
        value = decode(message.value)
        at = datetime.fromtimestamp(value["event_ms"] / 1000, UTC)
        return str(value["account"]), (at, value["amount"])

    def add(total: tuple[int, float], item: tuple[datetime, float]) -> tuple[int, float]:
        return total[0] + 1, total[1] + item[1]

    length, hop = timedelta(milliseconds=job.window_ms), timedelta(milliseconds=job.hop_ms)
    flow = Dataflow("totals")
    read = kafka.input("read", flow, brokers=[job.bootstrap], topics=[job.topic], tail=False)
    totals = windowing.fold_window(
        "totals",
        op.map("payment", read.oks, payment),
        windowing.EventClock(lambda item: item[0], timedelta(milliseconds=job.allowance_ms)),
        windowing.SlidingWindower(length, hop, _EPOCH),
        lambda: (0, 0.0),
        add,
        lambda one, other: (one[0] + other[0], one[1] + other[1]),
        ordered=False,
    )
    op.output("write", totals.down, _RedisSink(job, clock))
    run_main(flow)


if __name__ == "__main__":
    main(run)
