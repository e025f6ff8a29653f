"""State of one shard behind the shuffle of an event topic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.errors import RecordError, StateError
from headrace.schemas.event_times import DEFAULT_MAX_FUTURE_MS, READER_AHEAD_MS
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.plan import Plan
from headrace.streams.columnar.batch import Batch
from headrace.streams.intake.validation import Intake
from headrace.streams.log.records import LogRecords
from headrace.streams.state.block_checks import BlockChecks
from headrace.streams.state.fingerprint import definition_of
from headrace.streams.state.partition import MAX_PARTITIONS, Effects, PartitionState, groups_of
from headrace.streams.state.shuffle import Block, decode_block
from headrace.streams.state.view_group import ViewGroup


class Shard(PartitionState):
    """One shard of an event topic's shuffle: state of the views keyed otherwise than their topic."""

    def __init__(self, plan: Plan, source: SourceSpec, partition: int) -> None:
        views = plan.views_of(source.name)
        intake = Intake(source, views, partition)
        shuffled = groups_of(view for view in views if not plan.is_direct(view))
        states = [ViewGroup(group, intake.dtype(group[0])) for group in shuffled]
        topic = plan.topics.source(source.name).shuffle
        super().__init__(definition_of(plan, source), topic, partition, states)
        self._source_offsets: dict[int, int] = {}
        self._source = source.name
        # A worker takes the time by other machines' clocks, and may have gone on through a silence.
        most_ms = READER_AHEAD_MS + 2 * max(source.max_future_ms, DEFAULT_MAX_FUTURE_MS)
        dtypes = {state.name: intake.dtype(state.views[0]) for state in states}
        self._checks = BlockChecks(states, dtypes, most_ms)

    @property
    def member(self) -> str:
        return f"shard-{self.partition}"

    @property
    def source_offsets(self) -> Mapping[int, int]:
        return self._source_offsets

    def process(self, records: LogRecords) -> Effects:
        """Apply a range of blocks; those below the position have been applied before, and are skipped.

        What is no block of these views is a dead letter.

        Raises
        ------
        StateError
            When a block has a version that is not read: it may be of a worker that is newer, and then records
            would be left out. Nothing has been applied then.
        """
        fresh = records.since(self.next_offset)
        parts: dict[str, list[Batch]] = {name: [] for name in self.groups}
        blocks, rejected = self._blocks(fresh)
        for block in blocks:
            for name, batch in self._unapplied(block).items():
                parts[name].append(batch)
        merged = {name: Batch.concatenate(batches) for name, batches in parts.items() if batches}
        self._apply(merged, self.clock_ms)
        if fresh:
            self.next_offset = int(fresh.offsets[-1]) + 1
        rows = self._emit()
        return Effects(self.next_offset, rows, rejected + self._overflow_dead_letters())

    def _blocks(self, records: LogRecords) -> tuple[list[Block], list[DeadLetter]]:
        """Return the blocks of these views, and dead letters of the records that are none."""
        blocks, rejected = [], []
        for row, (value, offset, appended_ms) in enumerate(
            zip(records.values, records.offsets.tolist(), records.appended.tolist(), strict=True)
        ):
            try:
                block = decode_block(value, offset)
                if block.definition == self.definition:
                    self._checks.check(block, appended_ms)
                    blocks.append(block)
            except RecordError as error:
                letter = DeadLetter.of_record(
                    self.topic, self.partition, records[row], "malformed", str(error)
                )
                rejected.append(letter)
            except StateError as error:
                raise StateError(
                    f"{self.topic}[{self.partition}], offset {offset}: {error}. If no worker of yours wrote "
                    "it, see who may write to the topic, stop the workers and run "
                    f"`headrace reset {self._source}`, which begins the topic anew"
                ) from error
        return blocks, rejected

    def move(self, next_offset: int) -> None:
        """Move the position, for blocks that were applied before they were in their topic."""
        for group in self.groups.values():
            group.move(next_offset - self.next_offset)
        self.next_offset = next_offset

    def _unapplied(self, block: Block) -> dict[str, Batch]:
        """Return the rows of a block that have not been applied yet, by their offsets at the source."""
        if block.clock_ms is not None and (self.clock_ms is None or block.clock_ms > self.clock_ms):
            self.clock_ms = block.clock_ms
        applied = self._source_offsets.get(block.partition, 0)
        if block.next_offset <= applied:
            return {}
        self._source_offsets[block.partition] = block.next_offset
        if block.first >= applied:
            return dict(block.groups)
        return {
            name: batch.take(np.flatnonzero(batch.order // MAX_PARTITIONS >= applied))
            for name, batch in block.groups.items()
        }

    def _position(self) -> dict[str, Any]:
        return {"next": self.next_offset, "clock_ms": self.clock_ms, "heard": self._source_offsets}

    def _take_position(self, position: dict[str, Any]) -> int | None:
        self.next_offset = int(position["next"])
        self.clock_ms = position["clock_ms"]
        self._source_offsets = {int(partition): offset for partition, offset in position["heard"].items()}
        return self.clock_ms
