"""Quix Streams: a windowed aggregation with RocksDB state and its changelog, a batching sink to Redis."""

from __future__ import annotations

from typing import Any

from quixstreams import Application
from quixstreams.dataframe.windows import Count, Sum
from quixstreams.models.serializers import Deserializer
from quixstreams.sinks import BatchingSink

from benchmarks.streams.peers.job import Clock, Job, main
from benchmarks.streams.peers.rows import Rows, decoder


class _Payments(Deserializer):
    def __init__(self, job: Job, clock: Clock) -> None:
        super().__init__()
        self._decode, self._clock = decoder(job.format, job.schema), clock

    def __call__(self, value: bytes, ctx: Any) -> Any:
        self._clock.first()
        return self._decode(value)


class _RedisSink(BatchingSink):
    def __init__(self, job: Job, clock: Clock) -> None:
        super().__init__()
        self._rows, self._clock = Rows(job.redis, job.name), clock

    def write(self, batch: Any) -> None:
        self._rows.write(
            (int(item.key), item.value["end"], item.value["count"], item.value["sum"]) for item in batch
        )
        self._clock.last()


def run(job: Job) -> None:
    app = Application(
        broker_address=job.bootstrap,
        consumer_group=job.name,
        auto_offset_reset="earliest",
        state_dir=f"{job.folder}/state",
        loglevel="WARNING",
    )
    clock, seen = Clock(job), 0

    def event_ms(value: Any, headers: Any, timestamp: float, kind: Any) -> int:
        nonlocal seen
        seen += 1
        if seen == job.records:
            app.stop()  # after this record; then it commits, and with that the sinks write
        return int(value["event_ms"])

    payments = app.dataframe(
        app.topic(job.topic, value_deserializer=_Payments(job, clock), timestamp_extractor=event_ms)
    )
    windows = (
        payments.hopping_window(job.window_ms, job.hop_ms, grace_ms=job.allowance_ms)
        if job.hop_ms < job.window_ms
        else payments.tumbling_window(job.window_ms, grace_ms=job.allowance_ms)
    )
    # Every update goes out, as with Headrace; see docs/benchmarks.md for closed windows alone.
    windows.agg(count=Count(), sum=Sum("amount")).current().sink(_RedisSink(job, clock))
    app.run()


if __name__ == "__main__":
    main(run)
