"""State of one partition of an event topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from headrace.schemas.event_decoder import EventDecoder
from headrace.schemas.event_times import LATEST_MS
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.plan import Plan
from headrace.streams.columnar.batch import Batch
from headrace.streams.intake.udf import Transform
from headrace.streams.intake.validation import Counts, Intake, Judged
from headrace.streams.log.records import LogRecords
from headrace.streams.state.fingerprint import definition_of
from headrace.streams.state.partition import MAX_PARTITIONS, Effects, PartitionState, groups_of
from headrace.streams.state.shuffle import Block, encode_block, split
from headrace.streams.state.view_group import ViewGroup


class SourcePartition(PartitionState):
    """A partition of an event topic: intake, the views keyed as the topic is, blocks for the others.

    `transforms` execute the udfs of the views, by the view's name; None where no records will be processed.
    """

    def __init__(
        self,
        plan: Plan,
        source: SourceSpec,
        partition: int,
        transforms: Mapping[str, Transform] | None = None,
    ) -> None:
        views = plan.views_of(source.name)
        self.intake = Intake(source, views, partition, transforms)
        self._shards = source.shards
        direct = groups_of(view for view in views if plan.is_direct(view))
        shuffled = groups_of(view for view in views if not plan.is_direct(view))
        # Groups without state here: they know which columns their blocks need.
        self._shuffled = [ViewGroup(group, self.intake.dtype(group[0])) for group in shuffled]
        states = [ViewGroup(group, self.intake.dtype(group[0])) for group in direct]
        super().__init__(definition_of(plan, source), source.topic, partition, states)

    @property
    def member(self) -> str:
        return "direct"

    @property
    def source_offsets(self) -> Mapping[int, int]:
        return {self.partition: self.next_offset}

    @property
    def decoder(self) -> EventDecoder:
        return self.intake.decoder

    @property
    def newest_event_ms(self) -> int | None:
        return self.intake.clock_ms

    @property
    def record_counts(self) -> Mapping[str, int]:
        return self.intake.counts.as_dict()

    def skip_lost(self, begin: int) -> None:
        self.intake.counts.lost += begin - self.next_offset
        super().skip_lost(begin)

    @property
    def expectation_counts(self) -> Mapping[str, int]:
        return dict(self.intake.expectations.counts)

    def process(self, records: LogRecords) -> Effects:
        records = records.since(self.next_offset)
        if not records:
            return Effects(self.next_offset)
        judged = self.intake.take(records)
        first, self.next_offset = int(records.offsets[0]), int(records.offsets[-1]) + 1
        return self._effects(judged, first)

    def _effects(self, judged: Judged, first: int) -> Effects:
        if judged.clock_ms is not None:
            self.clock_ms = max(judged.clock_ms, self.clock_ms or judged.clock_ms)
        batches = {name: judged.batch_of(group.views[0]) for name, group in self.groups.items()}
        self._apply(batches, self.clock_ms)
        blocks = self._blocks(judged, first)
        rows = self._emit()
        return Effects(self.next_offset, rows, judged.rejected + self._overflow_dead_letters(), blocks)

    def pass_time(self, silence_ms: int) -> Effects | None:
        """Empty windows of a partition without traffic, as time passes.

        Since the last record event time is taken to have passed as fast as the clock of the machine. Windows
        follow it, a tile at a time; what is late is judged by the records alone, as before. Where producers
        send time marks, those tell the time. None when nothing is to be done.

        Parameters
        ----------
        silence_ms
            How long there was no record.
        """
        newest_ms = self.newest_event_ms
        if newest_ms is None or self.clock_ms is None or self.intake.counts.marks:
            return None
        tile_ms = self.intake.source.tile_ms
        passed_ms = min(newest_ms + silence_ms, LATEST_MS) // tile_ms * tile_ms
        if passed_ms <= self.clock_ms:
            return None
        self.clock_ms = passed_ms
        return self._effects(self.intake.take(LogRecords.of([])), self.next_offset)

    def _blocks(self, judged: Judged, first: int) -> list[bytes]:
        parts = {
            group.name: split(self._of_block(group, judged), group.join_keys, self._shards)
            for group in self._shuffled
        }
        return [
            encode_block(
                Block(
                    self.definition,
                    self.partition,
                    first,
                    self.next_offset,
                    self.clock_ms,
                    {name: batches[shard] for name, batches in parts.items()},
                )
            )
            for shard in range(self._shards)
        ]

    def _of_block(self, group: ViewGroup, judged: Judged) -> Batch:
        batch = judged.batch_of(group.views[0]).select(group.columns)
        order = batch.order * MAX_PARTITIONS + self.partition
        return Batch(batch.event_ms, order, batch.offset, batch.columns)

    def _position(self) -> dict[str, Any]:
        return {
            "next": self.next_offset,
            "clock_ms": self.intake.clock_ms,
            "counts": self.record_counts,
            "expectations": self.expectation_counts,
            "heard_ms": self.last_record_ms,
        }

    def _take_position(self, position: dict[str, Any]) -> int | None:
        self.next_offset = int(position["next"])
        self.clock_ms = self.intake.clock_ms = position["clock_ms"]
        self.intake.counts = Counts(**position["counts"])
        self.intake.expectations.counts = Counter(position.get("expectations", {}))
        self.last_record_ms = position["heard_ms"]
        return self.intake.clock_ms
