"""Headrace: the worker as `headrace worker` runs it, without the feature log, which its peers do not have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import uvloop

from benchmarks.streams.peers.job import Clock, Job, main
from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.schemas.plan import Plan
from headrace.streams.connections.redis_updates import HashUpdate
from headrace.streams.sinks import OnlineRows
from headrace.streams.worker.config import WorkerConfig
from headrace.streams.worker.process import WorkerProcess


class _MarkingSink(RedisOnlineSink):
    """Begins with what a worker writes on assignment, before its first range; ends with its last rows."""

    def __init__(self, job: Job, plan: Plan) -> None:
        super().__init__(job.redis, plan)
        self._clock = Clock(job)

    async def write(self, rows: Sequence[OnlineRows], updates: Sequence[HashUpdate]) -> None:
        self._clock.first()
        await super().write(rows, updates)
        self._clock.last()


def run(job: Job) -> None:
    plan = Plan.from_json((Path(job.folder) / "plan.json").read_text())
    uvloop.install()
    config = WorkerConfig(log_level="WARNING")
    WorkerProcess(plan, job.bootstrap, _MarkingSink(job, plan), config=config).run()


if __name__ == "__main__":
    main(run)
