"""Stock Faust: a windowed table in memory with its changelog; changed totals go to Redis every second."""

from __future__ import annotations

import os
from typing import Any

import faust
from mode.loop import use

from benchmarks.streams.peers.job import Clock, Job, main
from benchmarks.streams.peers.rows import Rows, decoder

_FLUSH_S = 1.0


class _Payments(faust.Codec):
    def __init__(self, job: Job) -> None:
        super().__init__()
        self._decode = decoder(job.format, job.schema)

    def _loads(self, payload: bytes) -> Any:
        return self._decode(payload)


def run(job: Job) -> None:
    app = faust.App(
        job.name,
        broker=f"kafka://{job.bootstrap}",
        store="memory://",
        datadir=job.folder,
        web_enabled=False,
        topic_partitions=job.partitions,
        topic_replication_factor=1,
        consumer_auto_offset_reset="earliest",
    )
    clock, rows = Clock(job), Rows(job.redis, job.name)
    size, hop, kept = job.window_ms / 1000, job.hop_ms / 1000, (job.window_ms + job.allowance_ms) / 1000
    table = app.Table("totals", default=lambda: (0, 0.0))
    totals = table.hopping(size, hop, expires=kept) if hop < size else table.tumbling(size, expires=kept)
    totals = totals.relative_to(lambda event: event.value["event_ms"] / 1000)
    changed: dict[tuple[int, Any], None] = {}
    seen = 0

    def add(total: tuple[int, float], amount: float) -> tuple[int, float]:
        return total[0] + 1, total[1] + amount

    def flush() -> None:
        due = [(account, window, table[account, window]) for account, window in changed]
        changed.clear()
        rows.write(
            (account, round(window[0] * 1000) + job.window_ms, *total) for account, window, total in due
        )
        clock.last()

    @app.timer(_FLUSH_S)
    async def write() -> None:
        flush()

    @app.agent(app.topic(job.topic, value_serializer=_Payments(job), key_serializer="raw"))
    async def aggregate(stream: Any) -> None:
        nonlocal seen
        async for event in stream.events():
            clock.first()
            payment = event.value
            totals[payment["account"]].apply(add, payment["amount"], event)
            for window in table.window.ranges(payment["event_ms"] / 1000):
                changed[payment["account"], window] = None
            seen += 1
            if seen == job.records:
                flush()
                os._exit(0)  # everything is readable: what is left is Faust's leave-taking

    use("uvloop")
    faust.Worker(app, loglevel="WARNING", override_logging=True).execute_from_commandline()


if __name__ == "__main__":
    main(run)
