"""State of the views that share a source and join keys, in one partition or shard."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.errors import StateError
from headrace.schemas.feature_specs import StreamViewSpec
from headrace.streams.aggregations import Aggregation, ListValues, Reading, Values, aggregation_of
from headrace.streams.aggregations.accumulator import Dtype
from headrace.streams.columnar.batch import Batch
from headrace.streams.columnar.key_table import Key, KeyTable, decode_keys, encode_keys
from headrace.streams.sinks import OnlineRows
from headrace.streams.state.overflowing_sums import UnfitSums
from headrace.streams.state.tile_ring import Ring

_ANY_OFFSET = 2**63 - 1
_AT_ONCE = 10_000  # keys


class GroupState:
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
        self.keys = KeyTable()
        self.clock_ms: int | None = None
        self._aggregations = {
            view.name: [aggregation_of(spec) for spec in view.aggregations] for view in views
        }
        self._rings = _build_rings([a for found in self._aggregations.values() for a in found], dtype)
        self._aggregated = {a.column for view in views for a in view.aggregations}
        self._applied = np.zeros(0, np.int64)  # per slot: next offset after the last record applied
        self._dirty = np.zeros(0, np.bool_)  # per slot: changed since the last snapshot
        self._touched: list[NDArray[np.int64]] = []  # slots to emit
        self._logged = np.zeros(0, np.bool_)  # per slot: in the changelog
        self._freed: list[Key] = []  # to delete from the changelog
        self.unfit = UnfitSums(self._aggregations, self.keys)
        self._restored_to = 0  # records below this offset may have been applied before a crash

    @property
    def rings(self) -> list[Ring]:
        """The tiles, by hop."""
        return [ring for _, ring in sorted(self._rings.items())]

    @property
    def columns(self) -> set[str]:
        """Source columns the group reads: join keys and aggregated columns."""
        return {*self.join_keys, *self._aggregated}

    def advance(self, clock_ms: int) -> None:
        """Move the clock; keys whose windows lose a tile are marked for emission."""
        before = self.clock_ms
        if before is not None and clock_ms <= before:
            return
        self.clock_ms = clock_ms
        if before is None:
            return
        for ring in self._rings.values():
            for window_ms in ring.windows_ms:
                self._touched += ring.expiring(window_ms, before, self.clock_ms)
            ring.forget(self.clock_ms)

    def add(self, batch: Batch) -> None:
        """Add accepted records; the clock has been moved past all of them."""
        if not len(batch):
            return
        assert self.clock_ms is not None
        slots = self.keys.slots_of(tuple(batch.columns[name].values for name in self.join_keys))
        self._reserve()
        if batch.offset[0] < self._restored_to:
            fresh = np.flatnonzero(batch.offset >= self._applied[slots])
            batch, slots = batch.take(fresh), slots[fresh]
            if not len(batch):
                return
        self._applied[slots] = batch.offset + 1  # offsets ascend, and the last of a repeated slot stays
        by = np.lexsort((batch.order, batch.event_ms, slots))
        slots, batch = slots[by], batch.select(self._aggregated).take(by)
        for ring in self._rings.values():
            ring.add(slots, batch, self.clock_ms)
        slots = slots[np.concatenate(([True], slots[1:] != slots[:-1]))]
        self._dirty[slots] = True
        self._touched.append(slots)

    def _reserve(self) -> None:
        size = self.keys.size
        have = len(self._applied)
        if size > have:
            grown = max(size, have + have // 2, 64)
            self._applied = np.concatenate([self._applied, np.zeros(grown - have, np.int64)])
            self._dirty = np.concatenate([self._dirty, np.zeros(grown - have, np.bool_)])
            self._logged = np.concatenate([self._logged, np.zeros(grown - have, np.bool_)])
        self.unfit.reserve(size)
        for ring in self._rings.values():
            ring.reserve(size)

    def emit(self, partition: int, offset: int) -> list[OnlineRows]:
        """Rows of every key whose values changed since the last call, as of the clock.

        `offset` is the end of the log prefix. Keys with nothing left in any window come out empty once more
        and give their slots back.
        """
        touched, self._touched = self._touched, []
        if not touched or self.clock_ms is None:
            return []
        slots = _distinct(np.concatenate(touched))
        # Freed slots have 0. While a crash is being made good, a key may be ahead of the prefix: its row is
        # already out.
        applied = self._applied[slots]
        self._judge_ahead(slots[applied > offset])
        slots = slots[(applied > 0) & (applied <= offset)]
        if not len(slots):
            return []
        keys = self.keys.columns(slots)
        reading, empty = self._read(slots)
        rows = []
        for view in self.views:
            features = self._values(view.name, reading)
            self.unfit.judge(view.name, slots, reading, features, self.clock_ms)
            rows.append(OnlineRows(view.name, keys, features, partition, offset, self.clock_ms))
        if empty.any():
            self._free(slots[empty])
        return rows

    def _read(self, slots: NDArray[np.int64]) -> tuple[dict[int, Reading], NDArray[np.bool_]]:
        """What slots hold, by hop, and which of them hold nothing."""
        assert self.clock_ms is not None
        reading: dict[int, Reading] = {}
        empty = np.ones(len(slots), np.bool_)
        for hop_ms, ring in self._rings.items():
            reading[hop_ms], holds = ring.read(slots, self.clock_ms)
            empty &= ~holds
        return reading, empty

    def _values(self, view: str, reading: Mapping[int, Reading]) -> tuple[Values | ListValues, ...]:
        return tuple(a.read(reading[a.spec.hop_ms]) for a in self._aggregations[view])

    def _judge_ahead(self, slots: NDArray[np.int64]) -> None:
        """Sums of keys that are ahead of the prefix: they were told of before the crash."""
        if not len(slots) or not self.unfit:
            return
        assert self.clock_ms is not None
        reading, _ = self._read(slots)
        for view in self.views:
            features = self._values(view.name, reading)
            self.unfit.judge(view.name, slots, reading, features, self.clock_ms, tell=False)

    def emit_all(self, partition: int, offset: int, size: int = 10_000) -> Iterator[OnlineRows]:
        """Rows of every key, `size` keys at a time, also of those that are ahead of the prefix."""
        slots = np.flatnonzero(self._applied)
        for start in range(0, len(slots), size):
            self._touched = [slots[start : start + size]]
            for rows in self.emit(partition, _ANY_OFFSET):
                yield replace(rows, offset=offset)

    def _free(self, gone: NDArray[np.int64]) -> None:
        for ring in self._rings.values():
            ring.clear(gone)
        self.unfit.clear(gone)
        self._freed += self.keys.keys_of(gone[self._logged[gone]])
        self._applied[gone], self._dirty[gone], self._logged[gone] = 0, False, False
        self.keys.free(gone)

    def move(self, by: int) -> None:
        """Say of every key that what was applied last stands so many offsets further on."""
        held = self._applied > 0
        self._applied[held] += by
        self._dirty |= held

    def take_freed(self) -> list[bytes]:
        """Encoded keys of the changelog that were given up since the last call and have not come back.

        They are deleted from it after the position is written: until then a restart goes back to a
        clock at which they may still hold something.
        """
        freed, self._freed = self._freed, []
        return encode_keys([key for key in freed if key not in self.keys])

    def snapshot(self) -> Iterator[tuple[bytes, bytes]]:
        """Encoded key and state of every key changed since the last snapshot."""
        slots = np.flatnonzero(self._dirty)
        if not len(slots):
            return
        self._dirty[slots], self._logged[slots] = False, True
        rows = np.ascontiguousarray(np.concatenate([self._bytes(a, slots) for a in self._arrays()], axis=1))
        width = rows.shape[1]
        raw_rows = rows.tobytes()
        fixed = [raw_rows[start : start + width] for start in range(0, len(raw_rows), width)]
        varying = [parts for ring in self.rings for parts in ring.pack(slots)]
        states = [b"".join(parts) for parts in zip(fixed, *varying, strict=True)] if varying else fixed
        yield from zip(encode_keys(self.keys.keys_of(slots)), states, strict=True)

    def restore(self, items: Sequence[tuple[bytes, bytes]], clock_ms: int | None) -> None:
        """Take up the keys of a changelog, the last state of each, and the clock of its position.

        Raises
        ------
        StateError
            When a state has another size than the views need.
        """
        self.clock_ms = clock_ms
        if not items:
            return
        keys, states = zip(*items, strict=True)
        slots = self.keys.slots_of_keys(decode_keys(keys))
        self._reserve()
        self._logged[slots] = True
        try:
            self._take_up(slots, states)
        except ValueError as error:
            raise StateError(
                f"the changelog of the views keyed by {self.name} does not fit their definition; "
                "run `headrace apply` and restart the worker so that it rebuilds from the topic"
            ) from error
        self._restored_to = int(self._applied[slots].max())
        if clock_ms is None:  # torn before the first position: nobody knows what has left which window since
            self._touched.append(np.sort(slots))
        for ring in self._rings.values():
            ring.reindex(slots)
        if clock_ms is not None and self.unfit:
            self._judge_restored(np.sort(slots))

    def _take_up(self, slots: NDArray[np.int64], states: Sequence[bytes]) -> None:
        widths = [a.itemsize * math.prod(a.shape[1:]) for a in self._arrays()]
        width = sum(widths)
        rows = np.frombuffer(b"".join([state[:width] for state in states]), np.uint8).reshape(-1, width)
        cuts = [0, *np.cumsum(widths).tolist()]
        for array, (start, end) in zip(self._arrays(), pairwise(cuts), strict=True):
            part = np.ascontiguousarray(rows[:, start:end]).view(array.dtype)
            array[slots] = part.reshape(-1, *array.shape[1:])
        for start in range(0, len(slots), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            self._take_up_varying(slots[some], [state[width:] for state in states[some]])

    def _take_up_varying(self, slots: NDArray[np.int64], states: Sequence[bytes]) -> None:
        raw = np.frombuffer(b"".join(states), np.uint8)
        ends = np.cumsum([len(state) for state in states])
        at = np.concatenate(([0], ends[:-1]))
        for ring in self.rings:
            at = ring.unpack(slots, raw, at)
        if (at != ends).any():
            raise ValueError("a state is of another length")

    def _judge_restored(self, slots: NDArray[np.int64]) -> None:
        """Find the sums that do not fit among what was restored: they were told of before."""
        for start in range(0, len(slots), _AT_ONCE):
            some = slots[start : start + _AT_ONCE]
            self._judge_ahead(some[self.unfit.possible(some, self._rings)])

    def _arrays(self) -> list[NDArray[np.int64]]:
        return [self._applied, *(a for ring in self.rings for a in ring.arrays())]

    @staticmethod
    def _bytes(array: NDArray[np.int64], slots: NDArray[np.int64]) -> NDArray[np.uint8]:
        part = np.ascontiguousarray(array[slots])
        return part.view(np.uint8).reshape(len(slots), -1)


def _distinct(slots: NDArray[np.int64]) -> NDArray[np.int64]:
    """The slots in ascending order, each once. `np.unique` hashes them first, at ten times the cost."""
    ordered = np.sort(slots)
    return ordered[np.diff(ordered, prepend=-1) > 0]


def _build_rings(aggregations: Sequence[Aggregation], dtype: Dtype) -> dict[int, Ring]:
    rings = {}
    for hop_ms in sorted({a.spec.hop_ms for a in aggregations}):
        sharing = [a for a in aggregations if a.spec.hop_ms == hop_ms]
        held = {one for a in sharing for one in a.held}
        rings[hop_ms] = Ring(hop_ms, {a.spec.window_ms for a in sharing}, held, dtype)
    return rings
