"""Rebuild of online rows from the changelogs, for a store that has lost its data.

A changelog stands behind what a running worker has in memory by up to one checkpoint, and rows of that time
may be among the lost ones. So while workers run, the changelogs are followed until they cover every record
that was in the log when the rebuild began, or stand still.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.redis_updates import HashUpdate
from headrace.streams.log.reader import end_offset, read_log
from headrace.streams.sinks import OnlineRows
from headrace.streams.state.partition import Entry, PartitionState
from headrace.streams.state.shard import Shard
from headrace.streams.state.source_partition import SourcePartition
from headrace.streams.worker.consumer_group import workers_run
from headrace.streams.worker.known_partitions import known_partitions
from headrace.streams.worker.progress import feature_progress

Report = Callable[[str], None]
_LOOK_S = 0.2


class RowStore(Protocol):
    """Takes rows without harming newer ones."""

    def write(self, rows: OnlineRows) -> Mapping[str, int]:
        """Store rows that are missing, or there as of an earlier prefix; returns how many of which kind."""

    def publish(self, updates: Sequence[HashUpdate]) -> None:
        """Store progress and counts, where none are or those of a shorter prefix."""


class _Partition:
    """One partition of an event topic or of a shuffle, with the state of its changelog."""

    def __init__(self, kafka: Kafka, topic: str, changelog: str, state: PartitionState) -> None:
        self.topic, self.state = topic, state
        self._kafka, self._changelog = kafka, changelog
        self._next_offset: int | None = None  # next record of the changelog
        self.end = end_offset(kafka, topic, state.partition)

    @property
    def name(self) -> str:
        return f"{self.topic}[{self.state.partition}]"

    @property
    def covered(self) -> bool:
        """Whether the state follows from every record that was in the log when the rebuild began."""
        return self.state.next_offset >= self.end

    @property
    def unread(self) -> bool:
        """Whether the log has a record behind the position of the state."""
        log = read_log(self._kafka, self.topic, self.state.partition, self.state.next_offset)
        return next(log, None) is not None

    def read(self) -> bool:
        """Read the changelog on; False when there was nothing new."""
        before = self._next_offset
        (self.state.restore if before is None else self.state.catch_up)(self._entries(before or 0))
        return before is None or self._next_offset != before

    def _entries(self, start: int) -> Iterator[Entry]:
        for message in read_log(self._kafka, self._changelog, self.state.partition, start):
            self._next_offset = message.offset() + 1
            yield message.key(), message.value()


class Rebuild:
    """Writes rows of all stream views of a plan that a store lacks.

    Parameters
    ----------
    plan
        The plan in force.
    kafka
        How to reach Kafka.
    store
        Where the rows go.
    settle_s
        While workers run: a changelog that does not grow for so long has everything. Longer than the time
        between two checkpoints.
    idle_ms
        That of the workers: after it, windows empty by the wall clock.
    report
        Takes a line about each step.
    """

    def __init__(
        self, plan: Plan, kafka: Kafka, store: RowStore, settle_s: float, idle_ms: int, report: Report
    ) -> None:
        self._plan, self._kafka, self._store = plan, kafka, store
        self._settle_s, self._idle_ms, self._report = settle_s, idle_ms, report
        self.written: Counter[str] = Counter()

    def run(self) -> Mapping[str, int]:
        """Rebuild; returns how many rows were ``missing``, ``older`` than the state, and ``current``.

        Raises
        ------
        HeadraceError
            When no worker runs and no changelog has anything: there is nothing to rebuild from.
        ServiceUnavailable
            When Kafka or the store does not answer; run it again, it does no harm.
        """
        partitions = [partition for source in self._plan.sources for partition in self._partitions(source)]
        for partition in partitions:
            partition.read()
            self._write(partition)
        if workers_run(self._plan, self._kafka):
            self._follow(partitions)
            self._pass_time(partitions)
        elif partitions and not any(partition.state.next_offset for partition in partitions):
            raise HeadraceError(
                f"the changelogs of project '{self._plan.project}' are empty for its present definitions; "
                "start `headrace worker`, which reads the event topics from the beginning"
            )
        for partition in partitions:
            self._store.publish(feature_progress(self._plan, self._source(partition).topic, partition.state))
        return dict(self.written)

    def _partitions(self, source: SourceSpec) -> Iterator[_Partition]:
        plan, kafka = self._plan, self._kafka
        if not plan.views_of(source.name):
            return
        topics = plan.topics.source(source.name)
        for number in range(known_partitions(kafka, plan)[source.topic]):
            yield _Partition(kafka, source.topic, topics.changelog, SourcePartition(plan, source, number))
        for number in range(source.shards):
            yield _Partition(kafka, topics.shuffle, topics.shuffle_changelog, Shard(plan, source, number))

    def _source(self, partition: _Partition) -> SourceSpec:
        return next(
            s
            for s in self._plan.sources
            if partition.topic in (s.topic, self._plan.topics.source(s.name).shuffle)
        )

    def _write(self, partition: _Partition) -> None:
        counts: Counter[str] = Counter()
        for rows in partition.state.emit_all():
            counts.update(self._store.write(rows))
        self.written += counts
        summary = ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items())) or "no rows"
        self._report(f"{partition.name} up to offset {partition.state.next_offset}: {summary}")

    def _follow(self, partitions: list[_Partition]) -> None:
        moved_s = time.monotonic()
        while (
            not all(partition.covered for partition in partitions)
            and time.monotonic() - moved_s < self._settle_s
        ):
            time.sleep(_LOOK_S)
            for partition in partitions:
                if partition.read():
                    moved_s = time.monotonic()
                    self._write(partition)

    def _pass_time(self, partitions: list[_Partition]) -> None:
        """Empty windows of partitions without traffic, where workers are ahead of the changelog."""
        for partition in partitions:
            state, now_ms = partition.state, time.time_ns() // 1_000_000
            if state.last_record_ms is None or partition.unread:
                continue
            silence_ms = now_ms - state.last_record_ms
            if silence_ms >= self._idle_ms and (effects := state.pass_time(silence_ms)) is not None:
                for rows in effects.rows:
                    self.written.update(self._store.write(rows))
                self._write(partition)
