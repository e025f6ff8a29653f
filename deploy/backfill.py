"""`headrace backfill`: its partitions in processes of their own, and the state to the worker."""

from __future__ import annotations

import multiprocessing
import queue
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.offsets import end_offsets
from featurestore.backfill import PartitionBackfill, Span, drop_other_rows, until
from featurestore.past_events import EventFiles, from_kafka
from schemas import topics
from schemas.errors import HeadraceError
from schemas.plan import Plan
from streams.kafka_access import Kafka
from streams.log_reader import read_log
from streams.log_records import LogRecord
from streams.output import LogProducer
from streams.state_definition import definition_of
from streams.worker_group import workers_run

Tell = Callable[[str], None]


@dataclass(frozen=True)
class _Job:
    """What one process does: a partition, up to an offset."""

    plan: str
    view: str
    partition: int
    kafka: Kafka
    end: int | None  # of the topic; None: events of files
    feature_log: Path
    work: Path
    span: Span
    events: Path | None

    def open(self) -> PartitionBackfill:
        plan = Plan.from_json(self.plan)
        return PartitionBackfill(plan, self.view, self.partition, self.feature_log, self.work, self.span)

    def records(self, plan: Plan, start: int) -> Iterable[LogRecord]:
        source = plan.source(plan.stream_view(self.view).source)
        if self.events is not None:
            return EventFiles(self.events, source).records(self.partition, start)
        return from_kafka(self.kafka, source.topic, self.partition, start, self.end or 0)


class Backfill:
    """A backfill of one view.

    Parameters
    ----------
    plan
        The plan in force.
    view
        The stream view.
    kafka
        How to reach Kafka.
    feature_log
        Folder of the feature log.
    work
        Folder for the state of this backfill.
    span
        Which rows are written.
    events
        File or folder of past events; None takes those in Kafka.
    """

    def __init__(
        self,
        plan: Plan,
        view: str,
        kafka: Kafka,
        feature_log: Path,
        work: Path,
        span: Span,
        events: Path | None = None,
    ) -> None:
        self._plan, self._view, self._kafka = plan, plan.stream_view(view), kafka
        self._source = plan.source(self._view.source)
        self._feature_log, self._work, self._span = feature_log, work, span
        self._files = None if events is None else EventFiles(events, self._source)
        if self._files is not None:
            ends: dict[int, int | None] = dict.fromkeys(self._files.partitions)
        else:
            found = end_offsets(kafka, [self._source.topic])
            ends = {partition: end for (_, partition), end in found.items()}
        self._jobs = [
            _Job(plan.to_json(), view, partition, kafka, end, feature_log, work, span, events)
            for partition, end in sorted(ends.items())
        ]
        self._jobs[0].open()  # says at once what cannot be done

    def run(self, processes: int, tell: Tell) -> None:
        """Run all partitions to their ends, so many at a time.

        Raises
        ------
        HeadraceError
            When the view cannot be backfilled, or a partition fails; what is done stays, and is not repeated.
        """
        context = multiprocessing.get_context("spawn")
        with context.Manager() as manager, ProcessPoolExecutor(processes, context) as pool:
            progress = manager.Queue()
            futures = [pool.submit(_run, job, progress) for job in self._jobs]
            while not all(future.done() for future in futures):
                _report(progress, tell, wait_s=0.2)
            _report(progress, tell, wait_s=0)
            _raise_failures(futures)
        if self._files is not None and not self._files.has_offsets:
            span = Span(self._span.from_ms, self._span.to_ms)
            dropped = drop_other_rows(self._feature_log, self._plan, self._view.name, span)
            tell(f"{dropped:,} rows that a worker had written of that time have given way")

    def hand_over(self, tell: Tell) -> bool:
        """Put the state into the changelog, for workers to go on at the offset behind it.

        False, and nothing is done, where they need or can use none.

        Raises
        ------
        HeadraceError
            When a worker runs.
        """
        if (why_not := self._no_hand_over()) is not None:
            tell(f"nothing is handed over: {why_not}")
            return False
        if workers_run(self._plan, self._kafka):
            raise HeadraceError(
                f"workers of project '{self._plan.project}' run; stop them, and run the same backfill again"
            )
        changelog = topics.changelog(self._plan.project, self._source.name)
        producer = LogProducer(self._kafka)
        for job in self._jobs:
            done = job.open()
            for key, value in done.entries():
                producer.send(changelog, job.partition, key, value)
            tell(f"{self._source.topic}[{job.partition}]: workers go on at offset {done.position}")
        producer.flush_blocking()
        return True

    def _no_hand_over(self) -> str | None:
        if self._files is not None and not self._files.has_offsets:
            return "these events have no offsets in the topic; workers read the topic from its beginning"
        if self._source.shards:
            return "other views of the topic are computed behind a shuffle, and need it from its beginning"
        position = f"p|{definition_of(self._plan, self._source)}".encode()
        changelog = topics.changelog(self._plan.project, self._source.name)
        for job in self._jobs:
            if any(m.key() == position for m in read_log(self._kafka, changelog, job.partition)):
                return "workers have begun by themselves, and have the state"
        return None


def _run(job: _Job, progress: Any) -> None:
    plan, work = Plan.from_json(job.plan), job.open()
    name = f"{plan.stream_view(job.view).source}[{job.partition}]"
    end = "" if job.end is None else f" of {job.end:,}"
    for position in work.run(until(job.records(plan, work.position), job.span.to_ms)):
        progress.put(f"{name}: {position:,}{end}")
    progress.put(f"{name}: done at {work.position:,}")


def _report(progress: Any, tell: Tell, wait_s: float) -> None:
    try:
        while True:
            tell(progress.get(timeout=wait_s) if wait_s else progress.get_nowait())
    except queue.Empty:
        return


def _raise_failures(futures: Iterable[Future[None]]) -> None:
    for future in futures:
        if (error := future.exception()) is not None:
            if isinstance(error, HeadraceError):
                raise error
            raise HeadraceError(f"a partition failed ({error!r}); run the same backfill again") from error
