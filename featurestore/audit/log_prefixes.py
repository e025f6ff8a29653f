"""The prefix of the raw log that each served vector is recomputed from.

At least the prefix that the row of the vector follows from. A longer one where predictions made `settle_ms`
earlier had read more of that partition: this one must have read that, too. So a value that was served wrong
is found, and also one that should have been served and was not.

A row of a view that reads its topic directly follows from one partition. Its value is that of the key over
all partitions, so prefixes of the others are taken as well: what was appended `settle_ms` before the
prediction was made, and what earlier predictions had read. A key in one partition has nothing there.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.featurestore.audit.read_views import ReadView
from headrace.schemas.errors import RecordError
from headrace.schemas.plan import Plan
from headrace.schemas.records import Prediction
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.log.partitioner import partition_for
from headrace.streams.state.shuffle import block_range


class BlockOffsets(NamedTuple):
    """The source offsets that a block of the shuffle topic brings."""

    shard: int
    offset: int  # of the block, in the shuffle topic
    partition: int  # of the event topic
    next_offset: int  # behind the last event of the block, in the event topic


def block_offsets(shard: int, offset: int, block: bytes | None, definition: str) -> BlockOffsets | None:
    """Read the source offsets of a block.

    None for a block that was made for views of another definition, and for what is none, which its shard
    turns away.

    Raises
    ------
    StateError
        When the block has a version that is not read.
    """
    try:
        made_for, partition, next_offset = block_range(block)
    except RecordError:
        return None
    return BlockOffsets(shard, offset, partition, next_offset) if made_for == definition else None


@dataclass(frozen=True)
class SourceLog:
    """The raw log of an event topic.

    Attributes
    ----------
    events
        Table of `headrace.featurestore.audit.raw_events.raw_table`.
    blocks
        For the views behind a shuffle, the blocks of all shards.
    """

    events: pa.Table
    blocks: Sequence[BlockOffsets] = ()

    @property
    def shards(self) -> set[int]:
        """Shards that have blocks."""
        return {block.shard for block in self.blocks}

    def source_offsets(self, shard: int, offset: int) -> dict[int, int]:
        """By partition of the event topic, how far a shard had read when it was at an offset of its own."""
        offsets: dict[int, int] = {}
        for block in self.blocks:
            if block.shard == shard and block.offset < offset:
                offsets[block.partition] = max(block.next_offset, offsets.get(block.partition, 0))
        return offsets

    def appended_before(self, time_ms: int) -> dict[int, int]:
        """By partition, the prefix before the first record that was appended at this time or later."""
        offsets = {}
        for part, (positions, appended) in self._append_times.items():
            count = int(np.searchsorted(appended, time_ms))
            offsets[part] = int(positions[count]) if count < len(positions) else int(positions[-1]) + 1
        return offsets

    @cached_property
    def _append_times(self) -> dict[int, tuple[Any, Any]]:
        """By partition, the offsets of its records, and the greatest append time up to each."""
        times = {}
        for part in pc.unique(self.events["part"]).to_pylist():
            records = self.events.filter(pc.equal(self.events["part"], part)).sort_by("pos")
            appended = np.maximum.accumulate(records["appended"].to_numpy())
            times[part] = (records["pos"].to_numpy(), appended)
        return times


class Place(NamedTuple):
    """A partition of an event topic, or a shard of its shuffle."""

    source: str
    is_shard: bool
    number: int


@dataclass(frozen=True)
class ServedVector:
    """A vector of one view that was served, and the prefix that it is recomputed from.

    Attributes
    ----------
    prefixes
        Next offset by partition of the event topic.
    as_of_ms
        As-of time of the row; None: there was no row.
    others
        Next offset by partition, of partitions that the row does not follow from although it should, where
        they hold events of its key.
    """

    prediction: Prediction
    prefixes: Mapping[int, int]
    as_of_ms: int | None
    others: Mapping[int, int] = field(default_factory=dict)


def served_vector(
    view: ReadView,
    is_direct: bool,
    log: SourceLog,
    prediction: Prediction,
    least: Mapping[Place, int],
    settle_ms: int = 0,
) -> ServedVector:
    """Find the prefix that a vector is recomputed from.

    Parameters
    ----------
    is_direct
        Whether the view reads the event topic itself, not its shuffle.
    least
        Offsets that the prediction must have read at the least; see `LeastOffsets`.
    settle_ms
        How long before the prediction a record of another partition must have been appended to count.
    """
    places = (view.spec.source, not is_direct)
    read = {place.number: n for place, n in least.items() if (place.source, place.is_shard) == places}
    row = prediction.provenance.get(view.name)
    if row is None:
        return ServedVector(prediction, read if is_direct else _read_by_all_shards(log, read), None)
    next_offset = max(row.offset, read.get(row.partition, 0))
    if is_direct:
        others = log.appended_before(prediction.ts_ms - settle_ms)
        for part, offset in read.items():
            others[part] = max(offset, others.get(part, 0))
        others.pop(row.partition, None)
        return ServedVector(prediction, {row.partition: next_offset}, row.as_of_ms, others)
    return ServedVector(prediction, log.source_offsets(row.partition, next_offset), row.as_of_ms)


def _read_by_all_shards(log: SourceLog, read: Mapping[int, int]) -> dict[int, int]:
    """Which shard the row should have come from is not known: take the prefix that all of them had read."""
    shards = [log.source_offsets(shard, read.get(shard, 0)) for shard in log.shards]
    partitions = {partition for offsets in shards for partition in offsets}
    return {part: min(offsets.get(part, 0) for offsets in shards) for part in partitions}


class LeastOffsets:
    """Offsets that predictions must have read, because earlier ones had.

    A prediction is held to those before it in its partition of the prediction log that were made `settle_ms`
    earlier. One whose time is behind that of its predecessors is held to nothing: it was asked about the
    past.

    Parameters
    ----------
    plan, router, views
        The plan, the router that made the predictions, and the stream views that they read.
    settle_ms
        In ``ts_ms`` of predictions.
    """

    def __init__(self, plan: Plan, router: RouterSpec, views: Sequence[ReadView], settle_ms: int) -> None:
        self._router, self._settle_ms = router, settle_ms
        self._views = [(view.name, view.spec.source, not plan.is_direct(view.spec)) for view in views]

    def of_chosen(
        self, predictions: Sequence[Prediction], chosen: Collection[int]
    ) -> dict[int, dict[Place, int]]:
        """By number of a chosen prediction, the next offset of each place.

        Parameters
        ----------
        predictions
            All, in the order of the log.
        """
        partitions: dict[int, _ReadOffsets] = defaultdict(_ReadOffsets)
        least: dict[int, dict[Place, int]] = {}
        for number, prediction in enumerate(predictions):
            partition = partitions[partition_for(prediction.key.encode(), self._router.partitions)]
            before = partition.before(prediction.ts_ms - self._settle_ms)
            if number in chosen:
                least[number] = before
            partition.add(prediction.ts_ms, number, self._places(prediction))
        return least

    def _places(self, prediction: Prediction) -> dict[Place, int]:
        """The places that a prediction had read, each up to the greatest offset of a row from there."""
        offsets: dict[Place, int] = {}
        for name, source, is_shard in self._views:
            if (row := prediction.provenance.get(name)) is not None:
                place = Place(source, is_shard, row.partition)
                offsets[place] = max(row.offset, offsets.get(place, 0))
        return offsets


class _ReadOffsets:
    """Offsets that the predictions of one partition had read, in order of their times."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, Mapping[Place, int]]] = []
        self._offsets: dict[Place, int] = {}
        self._until_ms = -math.inf

    def add(self, ts_ms: int, number: int, places: Mapping[Place, int]) -> None:
        heapq.heappush(self._waiting, (ts_ms, number, places))

    def before(self, ts_ms: int) -> dict[Place, int]:
        """The greatest offsets of earlier predictions; none once those of a later time were asked for."""
        while self._waiting and self._waiting[0][0] < ts_ms:
            self._until_ms, _, places = heapq.heappop(self._waiting)
            for place, offset in places.items():
                self._offsets[place] = max(offset, self._offsets.get(place, 0))
        return dict(self._offsets) if self._until_ms < ts_ms else {}
