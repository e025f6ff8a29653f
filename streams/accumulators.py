"""What one tile of one key holds: a few numbers that any order of arrival brings to the same value."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streams.batch import Batch
from streams.fixed_point import FixedPoint

Indices = NDArray[np.int64]


class Accumulator(Protocol):
    """Arrays of shape (slots, depth), one entry per tile."""

    def reserve(self, slots: int, depth: int) -> None:
        """Grow to `slots` rows."""

    def reset(self, slots: Indices, positions: Indices) -> None:
        """Empty the tiles at these places."""

    def add(self, slots: Indices, positions: Indices, order: Indices, starts: Indices, batch: Batch) -> None:
        """Add the groups of a batch (see `streams.rings.Groups`) to their tiles; nulls add nothing."""

    def arrays(self) -> list[NDArray[Any]]:
        """All arrays, in a fixed order, for the changelog."""


def _grow(array: NDArray[Any], slots: int, depth: int, fill: Any) -> NDArray[Any]:
    grown = np.full((slots, depth), fill, array.dtype)
    if len(array):
        grown[: len(array)] = array
    return grown


class Count:
    """How many values were not null."""

    def __init__(self, column: str) -> None:
        self.column = column
        self.count = np.zeros((0, 0), np.int64)

    def reserve(self, slots: int, depth: int) -> None:
        self.count = _grow(self.count, slots, depth, 0)

    def reset(self, slots: Indices, positions: Indices) -> None:
        self.count[slots, positions] = 0

    def add(self, slots: Indices, positions: Indices, order: Indices, starts: Indices, batch: Batch) -> None:
        valid = batch.columns[self.column].valid[order].astype(np.int64)
        self.count[slots, positions] += np.add.reduceat(valid, starts)

    def arrays(self) -> list[NDArray[Any]]:
        return [self.count]


class Sum:
    """Fixed-point sum, in quanta."""

    def __init__(self, column: str, quantum: float) -> None:
        self.column = column
        self.fixed = FixedPoint(quantum)
        self.quanta = np.zeros((0, 0), np.int64)

    def reserve(self, slots: int, depth: int) -> None:
        self.quanta = _grow(self.quanta, slots, depth, 0)

    def reset(self, slots: Indices, positions: Indices) -> None:
        self.quanta[slots, positions] = 0

    def add(self, slots: Indices, positions: Indices, order: Indices, starts: Indices, batch: Batch) -> None:
        column = batch.columns[self.column]
        quanta = self.fixed.to_quanta(np.where(column.valid, column.values, 0))[order].astype(np.int64)
        self.quanta[slots, positions] += np.add.reduceat(quanta, starts)

    def arrays(self) -> list[NDArray[Any]]:
        return [self.quanta]


class Extreme:
    """The least value (`np.minimum`) or the greatest (`np.maximum`), in the column's own dtype."""

    def __init__(self, column: str, ufunc: np.ufunc, dtype: type) -> None:
        self.column, self.ufunc = column, ufunc
        least, greatest = _bounds(dtype)
        self.identity = greatest if ufunc is np.minimum else least
        self.extreme: NDArray[Any] = np.zeros((0, 0), dtype)

    def reserve(self, slots: int, depth: int) -> None:
        self.extreme = _grow(self.extreme, slots, depth, self.identity)

    def reset(self, slots: Indices, positions: Indices) -> None:
        self.extreme[slots, positions] = self.identity

    def add(self, slots: Indices, positions: Indices, order: Indices, starts: Indices, batch: Batch) -> None:
        column = batch.columns[self.column]
        values = np.where(column.valid, column.values, self.identity)[order]
        found = self.ufunc.reduceat(values, starts)
        self.extreme[slots, positions] = self.ufunc(self.extreme[slots, positions], found)

    def arrays(self) -> list[NDArray[Any]]:
        return [self.extreme]


def _bounds(dtype: type) -> tuple[Any, Any]:
    if dtype is np.float64:
        return -np.inf, np.inf
    if dtype is np.bool_:
        return False, True
    info = np.iinfo(dtype)
    return info.min, info.max


class Last:
    """The value of the latest event, ties of event time broken by offset at the source."""

    def __init__(self, column: str, dtype: type) -> None:
        self.column = column
        self.event_ms = np.zeros((0, 0), np.int64)
        self.order = np.zeros((0, 0), np.int64)
        self.value: NDArray[Any] = np.zeros((0, 0), dtype)

    _NEVER = np.iinfo(np.int64).min

    def reserve(self, slots: int, depth: int) -> None:
        self.event_ms = _grow(self.event_ms, slots, depth, self._NEVER)
        self.order = _grow(self.order, slots, depth, -1)
        self.value = _grow(self.value, slots, depth, 0)

    def reset(self, slots: Indices, positions: Indices) -> None:
        self.event_ms[slots, positions] = self._NEVER
        self.order[slots, positions] = -1

    def add(self, slots: Indices, positions: Indices, order: Indices, starts: Indices, batch: Batch) -> None:
        column = batch.columns[self.column]
        # Groups are sorted by (event time, order), so the last valid row of each is the latest.
        candidates = np.where(column.valid[order], np.arange(len(order)), -1)
        last = np.maximum.reduceat(candidates, starts)
        have = np.flatnonzero(last >= 0)
        rows, slots, positions = order[last[have]], slots[have], positions[have]
        event_ms, tie = batch.event_ms[rows], batch.order[rows]
        held = self.event_ms[slots, positions]
        later = (event_ms > held) | ((event_ms == held) & (tie > self.order[slots, positions]))
        rows, slots, positions = rows[later], slots[later], positions[later]
        self.event_ms[slots, positions] = batch.event_ms[rows]
        self.order[slots, positions] = batch.order[rows]
        self.value[slots, positions] = column.values[rows]

    def arrays(self) -> list[NDArray[Any]]:
        return [self.event_ms, self.order, self.value]
