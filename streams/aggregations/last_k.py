"""The last k values, the newest first: `last_5` of a column is a list of at most five.

The newest comes first so that a place in the list has a meaning of its own, however many values there are:
the first is what `last` is, the second the one before.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.feature_specs import AggregationSpec
from headrace.schemas.feature_types import ValueType
from headrace.streams.aggregations.accumulator import (
    TEXT_BYTES,
    Accumulator,
    AccumulatorSpec,
    Indices,
    grow,
    held_type,
    tiles_of,
)
from headrace.streams.aggregations.aggregation import Aggregation, ListValues, Reading, kept_types
from headrace.streams.columnar.batch import Batch
from headrace.streams.columnar.lists import Lists

MOST = 100  # the greatest k
_NEVER = np.iinfo(np.int64).min
_PORTION_EVENTS = 1 << 20

Newest = tuple[Indices, Indices, NDArray[Any]]  # event time, order and value, each of shape (g, k)


class Recent(Accumulator):
    """Event time, order and value of the last k events of each tile, the newest first.

    Three arrays of shape (slots, depth, k) for each spec; specs that lie together have the same k.
    """

    code = "Recent"

    def __init__(self, specs: Sequence[AccumulatorSpec], dtype: type) -> None:
        super().__init__(specs, dtype)
        self._k: int = specs[0].parameter
        shape, kind = (0, 0, self._k), held_type(dtype)
        self.event_ms = [np.zeros(shape, np.int64) for _ in specs]
        self.order = [np.zeros(shape, np.int64) for _ in specs]
        self.value: list[NDArray[Any]] = [np.zeros(shape, kind) for _ in specs]

    @staticmethod
    def shared_by(spec: AccumulatorSpec, dtype: type) -> Hashable:
        return dtype, spec.parameter

    def reserve(self, slots: int, depth: int) -> None:
        self.event_ms = [grow(array, slots, depth, _NEVER) for array in self.event_ms]
        self.order = [grow(array, slots, depth, -1) for array in self.order]
        self.value = [grow(array, slots, depth, array.dtype.type()) for array in self.value]

    def reset(self, places: Indices) -> None:
        for event_ms, order, value in zip(self.event_ms, self.order, self.value, strict=True):
            tiles_of(event_ms)[places] = _NEVER
            tiles_of(order)[places] = -1
            tiles_of(value)[places] = value.dtype.type()

    def add(self, places: Indices, starts: Indices, batch: Batch) -> None:
        tile = np.repeat(np.arange(len(places)), np.diff(starts, append=len(batch)))
        for spec, *arrays in zip(self.specs, self.event_ms, self.order, self.value, strict=True):
            column = batch.columns[spec.column]
            rows = np.flatnonzero(column.valid)
            back = _from_end(tile[rows])
            rows, back = rows[back < self._k], back[back < self._k]
            if not len(rows):
                continue
            changed, row = np.unique(tile[rows], return_inverse=True)
            tiles = [tiles_of(array) for array in arrays]
            old = tuple(array[places[changed]] for array in tiles)
            new = _blank(old)
            cells = batch.event_ms[rows], batch.order[rows], column.values[rows]
            for array, of_rows in zip(new, cells, strict=True):
                array[row, back] = of_rows
            for array, merged in zip(tiles, _merged(cast(Newest, old), new), strict=True):
                array[places[changed]] = merged

    def read(self, slots: Indices, inside: NDArray[np.bool_]) -> Sequence[NDArray[Any]]:
        """Return the last k values, shape (n, windows, k): the newest first, then zeros or empty texts."""
        step = max(1, _PORTION_EVENTS // (inside.shape[2] * self._k))
        values = []
        for event_ms, value in zip(self.event_ms, self.value, strict=True):
            last = np.zeros((*inside.shape[:2], self._k), value.dtype)
            for start in range(0, len(slots), step):
                rows = slice(start, start + step)
                for window in range(inside.shape[1]):
                    last[rows, window] = _over_window(event_ms, value, slots[rows], inside[rows, window])
            values.append(last)
        return values

    def arrays(self, number: int) -> list[NDArray[Any]]:
        return [self.event_ms[number], self.order[number], self.value[number]]


def _from_end(group: Indices) -> Indices:
    """Return how many entries of the same group come after each; entries are sorted by group."""
    size = len(group)
    last = np.flatnonzero(np.diff(group, append=-1))
    counts = np.diff(last, prepend=-1)
    return np.repeat(last, counts) - np.arange(size)


def _blank(like: Sequence[NDArray[Any]]) -> Newest:
    event_ms, order, value = like
    return np.full_like(event_ms, _NEVER), np.full_like(order, -1), np.zeros_like(value)


def _merged(one: Newest, other: Newest) -> Newest:
    """Return the newest k events of both."""
    event_ms, order, value = (np.concatenate(pair, axis=1) for pair in zip(one, other, strict=True))
    by = np.lexsort((order, event_ms), axis=1)[:, : -one[0].shape[1] - 1 : -1]
    return (
        np.take_along_axis(event_ms, by, 1),
        np.take_along_axis(order, by, 1),
        np.take_along_axis(value, by, 1),
    )


def _over_window(
    event_ms: Indices, value: NDArray[Any], slots: Indices, inside: NDArray[np.bool_]
) -> NDArray[Any]:
    """Return the newest k values of the tiles inside, shape (n, k); a tile is newer as a whole."""
    k = event_ms.shape[2]
    row, position = np.nonzero(inside)
    newest = event_ms[slots[row], position, 0]
    by = np.lexsort((-newest, row))
    row, position = row[by], position[by]
    tile, place = np.nonzero(event_ms[slots[row], position] != _NEVER)
    row, position = row[tile], position[tile]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    kept = rank < k
    row, position, place, rank = row[kept], position[kept], place[kept], rank[kept]
    last = np.zeros((len(slots), k), value.dtype)
    last[row, rank] = value[slots[row], position, place]
    return last


class LastK(Aggregation):
    """A list of the last k values, as `last_5`; null over an empty window."""

    most_text = TEXT_BYTES

    def __init__(self, spec: AggregationSpec) -> None:
        super().__init__(spec)
        self._k = _k_of(spec)
        self._recent = AccumulatorSpec(Recent, spec.column, self._k)
        self._last = self._recent.name, spec.window_ms

    @staticmethod
    def types(kind: str) -> tuple[ValueType, ...]:
        return tuple(cast(ValueType, f"Array({element})") for element in kept_types(kind))

    @classmethod
    def tile_bytes(cls, spec: AggregationSpec) -> int:
        return _k_of(spec) * (16 + (TEXT_BYTES if spec.dtype == "Array(String)" else 8))

    @property
    def accumulators(self) -> list[AccumulatorSpec]:
        return [self._count, self._recent]

    def read(self, reading: Reading) -> ListValues:
        last, counted = reading[self._last], reading[self._counted]
        lengths = np.minimum(counted, self._k)
        return Lists(last[np.arange(self._k) < lengths[:, None]], lengths), counted > 0


def _k_of(spec: AggregationSpec) -> int:
    return int(spec.function.removeprefix("last_"))


FUNCTIONS: dict[str, type[Aggregation]] = {f"last_{k}": LastK for k in range(1, MOST + 1)}
