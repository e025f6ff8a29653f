"""`headrace backfill`: runs partitions in processes of their own, and hands the state over to workers."""

from __future__ import annotations

import multiprocessing
import queue
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from headrace.deploy.commands.hand_over import HandOver, Report, position_exists
from headrace.deploy.udfs import transforms_of
from headrace.featurestore.backfill.partition import PartitionBackfill
from headrace.featurestore.backfill.past_events import EventFiles, appended_before, from_kafka
from headrace.featurestore.backfill.shard import ShardBackfill
from headrace.featurestore.backfill.span import Span
from headrace.featurestore.backfill.span_rows import drop_other_rows
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import end_offsets
from headrace.streams.connections.schema_registry import RegistryAccess
from headrace.streams.intake.udf import Transform
from headrace.streams.log.records import LogRecord
from headrace.streams.runtime.registry_lookup import RegistryLookup
from headrace.streams.worker.rebuild import RowStore

_Task = Callable[[Report], None]
HandedOver = Literal["now", "before", "never"]


@dataclass(frozen=True)
class _Job:
    """The parameters of a backfill, for each of its processes."""

    plan: Plan
    view: str
    kafka: Kafka
    feature_log: Path
    work: Path
    span: Span
    events: Path | None
    repo_dir: Path | None
    registry: RegistryAccess | None

    @property
    def source(self) -> SourceSpec:
        return self.plan.source(self.plan.stream_view(self.view).source)

    def transforms(self) -> dict[str, Transform]:
        """Load the udfs of the views on the topic."""
        return transforms_of(self.plan, self.plan.views_of(self.source.name), self.repo_dir)

    def partition(self, number: int, transforms: dict[str, Transform]) -> PartitionBackfill:
        return PartitionBackfill(
            self.plan, self.view, number, self.feature_log, self.work, self.span, transforms
        )

    def shard(self, number: int, partitions: list[int]) -> ShardBackfill:
        return ShardBackfill(self.plan, self.view, number, partitions, self.feature_log, self.work, self.span)

    def records(self, partition: int, start: int, end: int | None) -> Iterable[LogRecord]:
        if self.events is not None:
            return EventFiles(self.events, self.source).records(partition, start)
        return from_kafka(self.kafka, self.source.topic, partition, start, end or 0)


class Backfill:
    """Runs the window code of one view over past events.

    Parameters
    ----------
    plan
        The plan in force.
    view
        Name of the stream view.
    kafka
        How to reach Kafka.
    feature_log
        Folder of the feature log.
    work
        Folder for the state of this backfill.
    span
        The times as of which rows are written.
    events
        File or folder of past events; None for those in Kafka.
    repo_dir
        The Feast repository, for the udfs of stream views; None where there are none.
    registry
        Where workers find writer schemas that the plan lacks.

    Raises
    ------
    HeadraceError
        When a udf is not the one of the plan, or `work` holds a backfill of another span.
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
        repo_dir: Path | None = None,
        registry: RegistryAccess | None = None,
    ) -> None:
        self._job = _Job(plan, view, kafka, feature_log, work, span, events, repo_dir, registry)
        self._plan, self._kafka, self._source = plan, kafka, self._job.source
        self._files = None if events is None else EventFiles(events, self._source)
        self._ends: dict[int, int | None]  # of the partitions; None: events of files
        if self._files is not None:
            self._ends = dict.fromkeys(self._files.partitions)
        else:
            ends = end_offsets(kafka, [self._source.topic])
            self._ends = {partition: end for (_, partition), end in sorted(ends.items())}
        self._transforms = self._job.transforms()
        self._partition(next(iter(self._ends)))  # raises at once for what cannot be done

    def _partition(self, number: int) -> PartitionBackfill:
        return self._job.partition(number, self._transforms)

    def run(self, processes: int, report: Report) -> None:
        """Run all partitions to their ends, then the shards behind the shuffle.

        Parameters
        ----------
        processes
            Number of partitions, or shards, at a time; 1 needs no process but this one.
        report
            Called with lines that say how far each is.

        Raises
        ------
        HeadraceError
            When the view cannot be backfilled, or a partition fails. Finished work stays and is not repeated.
        """
        partitions: list[_Task] = [
            partial(_run_partition, self._job, number, end) for number, end in self._ends.items()
        ]
        shards: list[_Task] = [
            partial(_run_shard, self._job, number, [*self._ends]) for number in range(self._source.shards)
        ]
        if processes == 1:
            for task in (*partitions, *shards):
                task(report)
        else:
            _run_beside_each_other((partitions, shards), processes, report)
        if self._files is not None and not self._files.has_offsets:
            job = self._job
            dropped = drop_other_rows(job.feature_log, self._plan, job.view, job.span)
            report(f"{dropped:,} rows that a worker had written of that time have given way")

    def hand_over(self, store: RowStore, report: Report) -> HandedOver:
        """Give the state to workers, to go on at the offset behind it; see `HandOver`.

        Returns
        -------
        str
            ``now``; ``before`` where workers have the state, by an interrupted run or by themselves: of its
            rows some may be missing; ``never`` where workers cannot use it.

        Raises
        ------
        HeadraceError
            When a worker runs.
        """
        if self._files is not None and not self._files.has_offsets:
            report(
                "nothing is handed over: these events have no offsets in the topic; workers read the topic "
                "from its beginning"
            )
            return "never"
        if position_exists(self._kafka, self._plan, self._source, self._ends):
            report("nothing is handed over: workers have the state, or have begun by themselves")
            return "before"
        shards = (self._job.shard(number, [*self._ends]) for number in range(self._source.shards))
        partitions = (self._partition(number) for number in self._ends)
        HandOver(self._kafka, self._plan, self._source, store, report).run(shards, partitions)
        return "now"


def _run_partition(job: _Job, number: int, end: int | None, report: Report) -> None:
    work = job.partition(number, job.transforms())
    name, of = f"{job.source.name}[{number}]", "" if end is None else f" of {end:,}"
    records = appended_before(job.records(number, work.position, end), job.span.to_ms)
    for position in work.run(records, supply=RegistryLookup(job.registry).supply):
        report(f"{name}: {position:,}{of}")
    counts = work.state.record_counts
    if left_out := [f"{counts[kind]:,} {kind}" for kind in ("dead", "late") if counts[kind]]:
        report(f"{name}: {' and '.join(left_out)} records are in no row")
    report(f"{name}: done at {work.position:,}")


def _run_shard(job: _Job, number: int, partitions: list[int], report: Report) -> None:
    work = job.shard(number, partitions)
    name = f"{job.source.name}, shard {number}"
    for position in work.run():
        report(f"{name}: {position:,} blocks")
    report(f"{name}: done at {work.position:,} blocks")


def _run_beside_each_other(groups: Sequence[Sequence[_Task]], processes: int, report: Report) -> None:
    """Run the tasks of each group in processes of their own, group after group."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(processes, context) as pool:
        progress = manager.Queue()
        for tasks in groups:
            _await([pool.submit(task, progress.put) for task in tasks], progress, report)


def _await(futures: Sequence[Future[None]], progress: Any, report: Report) -> None:
    while not all(future.done() for future in futures):
        _drain(progress, report, wait_s=0.2)
    _drain(progress, report, wait_s=0)
    _raise_failures(futures)


def _drain(progress: Any, report: Report, wait_s: float) -> None:
    try:
        while True:
            report(progress.get(timeout=wait_s) if wait_s else progress.get_nowait())
    except queue.Empty:
        return


def _raise_failures(futures: Iterable[Future[None]]) -> None:
    for future in futures:
        if (error := future.exception()) is not None:
            if isinstance(error, HeadraceError):
                raise error
            raise HeadraceError(f"a partition failed ({error!r}); run the same backfill again") from error
