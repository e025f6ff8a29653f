"""Headrace alone on a topic of its own: what the latency and the restore benchmarks drive."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import redis

from benchmarks.streams.contest import job_for, start
from benchmarks.streams.definition import plan_for
from benchmarks.streams.measure import wait_until
from benchmarks.streams.servers import Servers
from benchmarks.streams.topic_log import create, delete_topics
from benchmarks.streams.workload import PARTITIONS, Format, Workload
from headrace.deploy.commands.topics import ensure_topics
from headrace.deploy.local.child import Child
from headrace.streams.log.reader import end_offset
from headrace.streams.progress import Progress, ProgressStore


class OwnRun:
    """A plan, its topics and its worker. A context: at its end all that it made is gone."""

    def __init__(self, servers: Servers, kind: Format) -> None:
        self._servers, self._folder = servers, Path(tempfile.mkdtemp(prefix="bench-headrace-"))
        job = job_for("headrace", Workload(0, 1, kind), "sliding", servers, self._folder)
        self._job = replace(job, topic=f"{job.name}-payments")
        plan = plan_for(self.topic, kind, "sliding")
        self.plan = plan.model_copy(update={"project": job.name})
        self._progress = ProgressStore(redis.Redis.from_url(servers.redis), self.plan)
        self._child: Child | None = None

    @property
    def topic(self) -> str:
        return self._job.topic

    def __enter__(self) -> OwnRun:
        (self._folder / "plan.json").write_text(self.plan.to_json())
        create(self._servers.kafka, {self.topic: {"retention.ms": "-1"}})
        ensure_topics(self._servers.kafka, self.plan)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.stop()
        self._servers.empty_redis()
        delete_topics(self._servers.kafka, self._job.name)
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> Child:
        self._child = start("headrace", self._job)
        return self._child

    def progress(self) -> dict[int, Progress]:
        """What is readable, per partition."""
        return {partition: seen for (_, _, partition, _), seen in self._progress.read().items()}

    def wait_readable(self, since_ms: int = 0, timeout_s: float = 600.0) -> None:
        """Until everything in the topic is, by what was published at or after `since_ms`."""
        ends = {p: end_offset(self._servers.kafka, self.topic, p) for p in range(PARTITIONS)}

        def readable() -> bool:
            found = self.progress()
            return all(
                p in found and found[p].next_offset >= end and found[p].at_ms >= since_ms
                for p, end in ends.items()
            )

        assert self._child is not None
        wait_until(readable, timeout_s, "the worker", self._child.check)

    def changelog_end(self) -> int:
        """Records ever written to the changelog."""
        name = self.plan.topics.source(self.plan.sources[0].name).changelog
        return sum(end_offset(self._servers.kafka, name, p) for p in range(PARTITIONS))
