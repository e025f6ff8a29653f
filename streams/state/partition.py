"""One partition of an event topic, and one shard behind its shuffle: pure state machines over a log.

Both take ranges of records and say what follows from them (`Effects`); both can be written to a changelog
and taken up again at any point. They know neither Kafka nor Redis, so tests drive them record by record.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from headrace.schemas import topics
from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.encodings import UNVERSIONED, Encoding
from headrace.schemas.feature_specs import SourceSpec, StreamViewSpec
from headrace.schemas.plan import Plan
from headrace.streams.columnar.batch import Batch
from headrace.streams.intake.udf import Transform
from headrace.streams.intake.validation import Counts, Intake, Taken
from headrace.streams.log.records import LogRecords
from headrace.streams.sinks import OnlineRows
from headrace.streams.state.fingerprint import definition_of
from headrace.streams.state.shuffle import Block, decode_block, encode_block, split
from headrace.streams.state.view_group import GroupState

MAX_PARTITIONS = 4096  # of an event topic: ties between partitions are broken by (offset, partition)

POSITION = Encoding(
    version=1,
    older=(UNVERSIONED,),
    remedy="run workers of that version; or delete the changelog topics and the consumer group, so that "
    "workers of this one read the event topic from its beginning",
)

Entry = tuple[bytes, bytes | None]  # key and value of a changelog record; None deletes


@dataclass(frozen=True)
class Effects:
    """What follows from a range: rows to write, records turned away and sums that do not fit, one block per
    shard."""

    next_offset: int
    rows: list[OnlineRows] = field(default_factory=list)
    rejected: list[DeadLetter] = field(default_factory=list)
    blocks: list[bytes] = field(default_factory=list)


def groups_of(views: Iterable[StreamViewSpec]) -> list[list[StreamViewSpec]]:
    """Views that share their join keys and their records, and with them their state. One with a udf has
    records of its own."""
    found: dict[tuple[str, ...], list[StreamViewSpec]] = {}
    for view in views:
        own = [] if view.udf is None else ["", view.name]
        found.setdefault((*(key.name for key in view.join_keys), *own), []).append(view)
    return list(found.values())


class _Stateful:
    """Groups, a position in the log, and their changelog."""

    def __init__(self, definition: str, topic: str, partition: int, groups: Sequence[GroupState]) -> None:
        self.definition, self.topic, self.partition = definition, topic, partition
        self.groups = {group.name: group for group in groups}
        self.next_offset = 0
        self.state_id = hashlib.sha256(definition.encode()).digest()[:8]  # of rows that can be compared
        self._prefix = f"k|{definition}|".encode()
        self._position_key = f"p|{definition}".encode()

    def _position(self) -> dict[str, Any]:
        raise NotImplementedError

    def _encoded_position(self) -> bytes:
        return json.dumps({**POSITION.stamp(), **self._position()}).encode()

    def _decoded_position(self, value: bytes) -> dict[str, Any]:
        raw: dict[str, Any] = json.loads(value)
        POSITION.check(raw, f"the position of {self.topic}[{self.partition}] in its changelog")
        return raw

    def _take_position(self, position: dict[str, Any]) -> int | None:
        """Take up a position; returns the clock of the groups."""
        raise NotImplementedError

    def snapshot(self) -> list[Entry]:
        """Changelog records: keys touched since the last snapshot, the position, then keys given up."""
        entries: list[Entry] = []
        gone: list[Entry] = []
        for name, group in self.groups.items():
            prefix = self._prefix + name.encode() + b"|"
            entries += [(prefix + key, state) for key, state in group.snapshot()]
            gone += [(prefix + key, None) for key in group.take_freed()]
        entries.append((self._position_key, self._encoded_position()))
        return entries + gone

    def restore(self, entries: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Take up a changelog, read from its beginning to its end. Other definitions are passed over.

        Raises
        ------
        StateError
            When the position has a version that is not read, or the state of a key another size.
        """
        latest = dict(entries)
        raw = latest.pop(self._position_key, None)
        clock_ms = None if raw is None else self._take_position(self._decoded_position(raw))
        for name, group in self.groups.items():
            prefix = self._prefix + name.encode() + b"|"
            start = len(prefix)
            items = [(k[start:], v) for k, v in latest.items() if v is not None and k.startswith(prefix)]
            group.restore(items, clock_ms)

    def catch_up(self, entries: Iterable[Entry]) -> None:
        """Take up what came into the changelog since `restore`. Keys given up stay, and are found empty."""
        kept = [(key, value) for key, value in entries if value is not None]
        if kept:
            self.restore([(self._position_key, self._encoded_position()), *kept])

    def _apply(self, batches: dict[str, Batch], clock_ms: int | None) -> None:
        for name, group in self.groups.items():
            if clock_ms is not None:
                group.advance(clock_ms)
            if name in batches:
                group.add(batches[name])

    def _emit(self) -> list[OnlineRows]:
        found = [group.emit(self.partition, self.next_offset) for group in self.groups.values()]
        return [replace(rows, state=self.state_id) for part in found for rows in part]

    def emit_all(self) -> Iterator[OnlineRows]:
        """Rows of every key, also of those that are ahead of the position."""
        for group in self.groups.values():
            for rows in group.emit_all(self.partition, self.next_offset):
                yield replace(rows, state=self.state_id)

    @property
    def unfit_sums(self) -> int | None:
        """How many sums do not fit the type of their feature as of the position; None without any sums."""
        counts = [group.unfit.count for group in self.groups.values() if group.unfit]
        return sum(counts) if counts else None

    def _unfit_letters(self) -> list[DeadLetter]:
        """Of the sums that began not to fit."""
        begun = [one for group in self.groups.values() for one in group.unfit.take_begun()]
        return [one.letter(self.topic, self.partition, self.next_offset - 1) for one in begun]


class SourcePartition(_Stateful):
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
        self._shuffled = [GroupState(group, self.intake.dtype(group[0])) for group in shuffled]
        states = [GroupState(group, self.intake.dtype(group[0])) for group in direct]
        super().__init__(definition_of(plan, source), source.topic, partition, states)
        self.heard_ms: int | None = None  # wall clock when a record was processed last
        self.as_of_ms: int | None = None  # clock of the windows: that of intake, or further

    @property
    def counts(self) -> Counts:
        return self.intake.counts

    def process(self, records: LogRecords) -> Effects:
        """What follows from a range. Records below the position have been processed before: skipped."""
        records = records.since(self.next_offset)
        if not records:
            return Effects(self.next_offset)
        taken = self.intake.take(records)
        first, self.next_offset = int(records.offsets[0]), int(records.offsets[-1]) + 1
        return self._effects(taken, first)

    def _effects(self, taken: Taken, first: int) -> Effects:
        if taken.clock_ms is not None:
            self.as_of_ms = max(taken.clock_ms, self.as_of_ms or taken.clock_ms)
        batches = {name: taken.batch_of(group.views[0]) for name, group in self.groups.items()}
        self._apply(batches, self.as_of_ms)
        blocks = self._blocks(taken, first, self.as_of_ms)
        rows = self._emit()
        return Effects(self.next_offset, rows, taken.rejected + self._unfit_letters(), blocks)

    def pass_time(self, now_ms: int) -> Effects | None:
        """Let the windows of a partition without traffic empty, as the wall clock says.

        Since the last record event time is taken to have passed as fast as the wall clock. Windows follow it,
        a tile at a time; what is late is judged by the records alone, as before. Where producers send time
        marks, those tell the time. None when nothing is to be done.

        Parameters
        ----------
        now_ms
            The wall clock, epoch milliseconds.
        """
        clock_ms = self.intake.clock_ms
        if clock_ms is None or self.as_of_ms is None or self.heard_ms is None or self.counts.marks:
            return None
        tile_ms = self.intake.source.tile_ms
        passed_ms = (clock_ms + now_ms - self.heard_ms) // tile_ms * tile_ms
        if passed_ms <= self.as_of_ms:
            return None
        self.as_of_ms = passed_ms
        return self._effects(self.intake.take(LogRecords.of([])), self.next_offset)

    def _blocks(self, taken: Taken, first: int, clock_ms: int | None) -> list[bytes]:
        parts = {
            group.name: split(self._of_block(group, taken), group.join_keys, self._shards)
            for group in self._shuffled
        }
        return [
            encode_block(
                Block(
                    self.definition,
                    self.partition,
                    first,
                    self.next_offset,
                    clock_ms,
                    {name: batches[shard] for name, batches in parts.items()},
                )
            )
            for shard in range(self._shards)
        ]

    def _of_block(self, group: GroupState, taken: Taken) -> Batch:
        batch = taken.batch_of(group.views[0]).select(group.columns)
        order = batch.order * MAX_PARTITIONS + self.partition
        return Batch(batch.event_ms, order, batch.offset, batch.columns)

    def _position(self) -> dict[str, Any]:
        return {
            "next": self.next_offset,
            "clock_ms": self.intake.clock_ms,
            "counts": asdict(self.counts),
            "expectations": dict(self.intake.expectations.counts),
            "heard_ms": self.heard_ms,
        }

    def _take_position(self, position: dict[str, Any]) -> int | None:
        self.next_offset = int(position["next"])
        self.as_of_ms = self.intake.clock_ms = position["clock_ms"]
        self.intake.counts = Counts(**position["counts"])
        self.intake.expectations.counts = Counter(position.get("expectations", {}))
        self.heard_ms = position["heard_ms"]
        return self.intake.clock_ms


class Shard(_Stateful):
    """One shard of an event topic's shuffle: state of the views keyed otherwise than their topic.

    `heard` maps each source partition to the offset there up to which it has been applied.
    """

    def __init__(self, plan: Plan, source: SourceSpec, partition: int) -> None:
        views = plan.views_of(source.name)
        intake = Intake(source, views, partition)
        shuffled = groups_of(view for view in views if not plan.is_direct(view))
        states = [GroupState(group, intake.dtype(group[0])) for group in shuffled]
        topic = topics.shuffle(plan.project, source.name)
        super().__init__(definition_of(plan, source), topic, partition, states)
        self.heard: dict[int, int] = {}
        self.clock_ms: int | None = None

    def process(self, records: LogRecords) -> Effects:
        """What follows from a range of blocks.

        Raises
        ------
        RecordError
            When a record is no block; nothing has been applied then.
        """
        fresh = records.since(self.next_offset)
        blocks = [
            decode_block(value, offset)
            for value, offset in zip(fresh.values, fresh.offsets.tolist(), strict=True)
        ]
        parts: dict[str, list[Batch]] = {name: [] for name in self.groups}
        for block in blocks:
            if block.definition == self.definition:
                for name, batch in self._unheard(block).items():
                    parts[name].append(batch)
        merged = {name: Batch.concatenate(found) for name, found in parts.items() if found}
        self._apply(merged, self.clock_ms)
        if fresh:
            self.next_offset = int(fresh.offsets[-1]) + 1
        rows = self._emit()
        return Effects(self.next_offset, rows, self._unfit_letters())

    def move(self, next_offset: int) -> None:
        """Put what has been applied in front of `next_offset`, for blocks that came by another way than their
        topic and then were put into it."""
        for group in self.groups.values():
            group.move(next_offset - self.next_offset)
        self.next_offset = next_offset

    def _unheard(self, block: Block) -> dict[str, Batch]:
        """The rows of a block that have not been applied yet, by their offsets at the source."""
        if block.clock_ms is not None and (self.clock_ms is None or block.clock_ms > self.clock_ms):
            self.clock_ms = block.clock_ms
        heard = self.heard.get(block.partition, 0)
        if block.next_offset <= heard:
            return {}
        self.heard[block.partition] = block.next_offset
        if block.first >= heard:
            return dict(block.groups)
        return {
            name: batch.take(np.flatnonzero(batch.order // MAX_PARTITIONS >= heard))
            for name, batch in block.groups.items()
        }

    def _position(self) -> dict[str, Any]:
        return {"next": self.next_offset, "clock_ms": self.clock_ms, "heard": self.heard}

    def _take_position(self, position: dict[str, Any]) -> int | None:
        self.next_offset = int(position["next"])
        self.clock_ms = position["clock_ms"]
        self.heard = {int(partition): offset for partition, offset in position["heard"].items()}
        return self.clock_ms
