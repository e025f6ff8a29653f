"""State of the views that share a source and join keys, in one partition or shard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.errors import StateError
from headrace.schemas.feature_specs import StreamViewSpec
from headrace.streams.aggregations import aggregation_of
from headrace.streams.aggregations.accumulator import Dtype
from headrace.streams.columnar.batch import Batch
from headrace.streams.columnar.key_table import KeyTable
from headrace.streams.sinks import OnlineRows
from headrace.streams.state.group_changelog import decode_states, encode_states
from headrace.streams.state.group_rows import GroupRows
from headrace.streams.state.key_slots import KeySlots
from headrace.streams.state.overflowing_sums import OverflowingSums
from headrace.streams.state.tile_ring import Ring
from headrace.streams.state.tile_rings import TileRings

_ANY_OFFSET = 2**63 - 1


class ViewGroup:
    """Keys, tiles and clock of a group of views.

    Parameters
    ----------
    views
        Views with one source and the same join keys, and no udf; or one with a udf.
    dtype
        Numpy type of a source column by its name.
    """

    def __init__(self, views: Sequence[StreamViewSpec], dtype: Dtype) -> None:
        self.views = tuple(views)
        self.join_keys = [key.name for key in views[0].join_keys]
        self.name = "+".join(self.join_keys) + (f"/{views[0].name.encode().hex()}" if views[0].udf else "")
        self.clock_ms: int | None = None
        aggregations = {view.name: [aggregation_of(spec) for spec in view.aggregations] for view in views}
        self._aggregated = {a.column for view in views for a in view.aggregations}
        self._slots = KeySlots()
        self._rings = TileRings([a for of_view in aggregations.values() for a in of_view], dtype)
        self._rows = GroupRows(self.views, aggregations, self._slots.keys, self._rings)
        self._touched: list[NDArray[np.int64]] = []  # slots to emit
        self._restored_to = 0  # records below this offset may have been applied before a crash

    @property
    def keys(self) -> KeyTable:
        """The keys held."""
        return self._slots.keys

    @property
    def rings(self) -> list[Ring]:
        """The tiles, by hop."""
        return list(self._rings.by_hop.values())

    @property
    def overflowing(self) -> OverflowingSums:
        """Sums that do not fit the type of their feature."""
        return self._rows.overflowing

    @property
    def columns(self) -> set[str]:
        """Source columns the group reads: join keys and aggregated columns."""
        return {*self.join_keys, *self._aggregated}

    def advance(self, clock_ms: int) -> None:
        """Move the clock; keys whose windows lose a tile are marked for emission."""
        before_ms = self.clock_ms
        if before_ms is None:
            self.clock_ms = clock_ms
        elif clock_ms > before_ms:
            self.clock_ms = clock_ms
            self._touched += self._rings.advance(before_ms, clock_ms)

    def add(self, batch: Batch) -> None:
        """Add accepted records; the clock has been moved past all of them."""
        if not len(batch):
            return
        assert self.clock_ms is not None
        slots = self._slots.of(tuple(batch.columns[name].values for name in self.join_keys))
        self._reserve()
        if batch.offset[0] < self._restored_to:
            fresh = np.flatnonzero(batch.offset >= self._slots.applied[slots])
            batch, slots = batch.take(fresh), slots[fresh]
            if not len(batch):
                return
        self._slots.apply(slots, batch.offset)
        by = np.lexsort((batch.order, batch.event_ms, slots))
        slots, batch = slots[by], batch.select(self._aggregated).take(by)
        self._rings.add(slots, batch, self.clock_ms)
        self._touched.append(slots[np.concatenate(([True], slots[1:] != slots[:-1]))])

    def emit(self, partition: int, offset: int) -> list[OnlineRows]:
        """Return rows of every key whose values changed since the last call, as of the clock.

        `offset` is the end of the log prefix. Keys with nothing left in any window come out empty once more
        and give their slots back.
        """
        touched, self._touched = self._touched, []
        if not touched or self.clock_ms is None:
            return []
        slots = _distinct(np.concatenate(touched))
        # Freed slots have 0. While a crash is being made good, a key may be ahead of the prefix: its row is
        # already out.
        applied = self._slots.applied[slots]
        self._rows.judge(slots[applied > offset], self.clock_ms)
        slots = slots[(applied > 0) & (applied <= offset)]
        if not len(slots):
            return []
        rows, empty = self._rows.read(slots, partition, offset, self.clock_ms)
        if empty.any():
            self._free(slots[empty])
        return rows

    def emit_all(self, partition: int, offset: int, size: int = 10_000) -> Iterator[OnlineRows]:
        """Return rows of every key, `size` keys at a time, also of those that are ahead of the prefix."""
        slots = self._slots.held()
        for start in range(0, len(slots), size):
            self._touched = [slots[start : start + size]]
            for rows in self.emit(partition, _ANY_OFFSET):
                yield replace(rows, offset=offset)

    def move(self, by: int) -> None:
        """Move the next offset of every key by so many offsets."""
        self._slots.move(by)

    def take_freed(self) -> list[bytes]:
        """Return encoded keys of the changelog that were freed since the last call and have not come back.

        They are deleted from it after the position is written: until then a restart goes back to a
        clock at which they may still hold something.
        """
        return self._slots.take_freed()

    def snapshot(self, since_ms: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Return encoded key and state of every key changed since the last snapshot.

        Tiles that had left every window at the clock `since_ms` are left out. That is the clock of the
        position before: a restart may go back to it.
        """
        slots = self._slots.take_dirty()
        if len(slots):
            states = encode_states(self._slots.applied, self._rings, slots, since_ms)
            yield from zip(self._slots.encoded(slots), states, strict=True)

    def load(self, items: Mapping[bytes, bytes | None]) -> None:
        """Load keys of a changelog: a state replaces the one before, None deletes. `restored` ends a load.

        Raises
        ------
        StateError
            When a state has another size than the views need.
        """
        try:
            deleted = [key for key, state in items.items() if state is None]
            if deleted:
                self._free(self._slots.deleted(deleted))
            kept = {key: state for key, state in items.items() if state is not None}
            if not kept:
                return
            slots = self._slots.restore([*kept])
            self._reserve()
            decode_states(self._slots.applied, self._rings, slots, [*kept.values()])
        except StateError:
            raise
        except Exception as error:
            raise StateError(
                f"the changelog of the views keyed by {self.name} does not fit their definition; "
                "run `headrace apply` and restart the worker so that it rebuilds from the topic"
            ) from error

    def restored(self, clock_ms: int | None) -> None:
        """Go on from the keys that were loaded, at the clock of the position."""
        self.clock_ms = clock_ms
        slots = self._slots.held()
        if not len(slots):
            return
        self._restored_to = int(self._slots.applied.max())
        self._rings.reindex(slots)
        if clock_ms is None:  # torn before the first position: nobody knows what has left which window since
            self._touched.append(slots)
        else:
            self._rows.judge_restored(slots, clock_ms)

    def _reserve(self) -> None:
        size = self._slots.keys.size
        self._rows.overflowing.reserve(size)
        self._rings.reserve(size)

    def _free(self, slots: NDArray[np.int64]) -> None:
        self._rings.clear(slots)
        self._rows.overflowing.clear(slots)
        self._slots.free(slots)


def _distinct(slots: NDArray[np.int64]) -> NDArray[np.int64]:
    """The slots in ascending order, each once. `np.unique` hashes them first, at ten times the cost."""
    ordered = np.sort(slots)
    return ordered[np.diff(ordered, prepend=-1) > 0]
