"""What one tile of one key holds: a few numbers that any order of arrival brings to the same value.

Numbers of a kind lie next to each other, so that a ring is added to and read in a few calls of numpy, however
many features there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from streams.batch import Batch
from streams.fixed_point import FixedPoint

Indices = NDArray[np.int64]
Dtype = Callable[[str], type]  # numpy type of a column by its name
NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Held:
    """One number of a tile. `fixed` is the unit of a sum."""

    function: Literal["count", "sum", "min", "max", "last"]
    column: str
    fixed: FixedPoint | None = None

    @cached_property
    def name(self) -> str:
        """Tells it from the others of a tile, and orders them in the changelog."""
        unit = "" if self.fixed is None else f", {self.fixed.quantum}"
        return f"{self.function}({self.column}{unit})"

    def term(self, batch: Batch) -> NDArray[np.int64]:
        """What each row adds to a count or a sum, shape (n,); rings of other hops take it up again."""
        term = batch.terms.get(self.name)
        if term is None:
            column = batch.columns[self.column]
            valid = column.valid
            if self.fixed is None:
                term = valid.astype(np.int64)
            else:
                term = self.fixed.to_quanta(np.where(valid, column.values, 0)).astype(np.int64)
            batch.terms[self.name] = term
        return term


class Accumulator(Protocol):
    """Arrays of shape (slots, depth, k): k numbers per tile. Places are indices into (slots * depth,)."""

    held: Sequence[Held]

    def reserve(self, slots: int, depth: int) -> None:
        """Grow to `slots` rows."""

    def reset(self, places: Indices) -> None:
        """Empty the tiles at these places."""

    def add(self, places: Indices, starts: Indices, batch: Batch) -> None:
        """Add the rows of a batch to g tiles; nulls add nothing.

        The rows of a tile begin at its entry of `starts` and are sorted by (event time, order).
        """

    def read(self, slots: Indices, inside: NDArray[np.bool_]) -> NDArray[Any]:
        """Values over the tiles where `inside` (n, windows, depth) is True, shape (n, windows, k)."""

    def arrays(self, number: int) -> list[NDArray[Any]]:
        """What is kept of one of the k numbers, each (slots, depth), in a fixed order, for the changelog."""


def accumulators_of(held: Sequence[Held], dtype: Dtype) -> list[Accumulator]:
    """The accumulators that hold these numbers, those of a kind together."""
    kinds: dict[tuple[str, type], list[Held]] = {}
    for one in held:
        whole = one.function in ("count", "sum")
        kinds.setdefault(("total", int) if whole else (one.function, dtype(one.column)), []).append(one)
    return [_MAKE[function](together, kind) for (function, kind), together in kinds.items()]


def _grow(array: NDArray[Any], slots: int, depth: int, fill: Any) -> NDArray[Any]:
    grown = np.full((slots, depth, array.shape[2]), fill, array.dtype)
    if len(array):
        grown[: len(array)] = array
    return grown


def _tiles(array: NDArray[Any]) -> NDArray[Any]:
    """The same array with one row per tile, shape (slots * depth, k)."""
    return array.reshape(-1, array.shape[2])


def _stacked(held: Sequence[Held], batch: Batch) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Values and validity of columns of one dtype, shape (k, n)."""
    columns = [batch.columns[one.column] for one in held]
    return np.array([c.values for c in columns]), np.array([c.valid for c in columns])


class Totals:
    """How many values were not null, and sums in quanta."""

    def __init__(self, held: Sequence[Held], dtype: type) -> None:
        self.held = held
        self.total = np.zeros((0, 0, len(held)), np.int64)

    def reserve(self, slots: int, depth: int) -> None:
        self.total = _grow(self.total, slots, depth, 0)

    def reset(self, places: Indices) -> None:
        _tiles(self.total)[places] = 0

    def add(self, places: Indices, starts: Indices, batch: Batch) -> None:
        terms = np.array([one.term(batch) for one in self.held])
        _tiles(self.total)[places] += np.add.reduceat(terms, starts, axis=1).T

    def read(self, slots: Indices, inside: NDArray[np.bool_]) -> NDArray[Any]:
        total: NDArray[np.int64] = np.matmul(inside.astype(np.int64), self.total[slots])
        return total

    def arrays(self, number: int) -> list[NDArray[Any]]:
        return [self.total[:, :, number]]


class Extreme:
    """The least values (`np.minimum`) or the greatest (`np.maximum`), in the dtype of the columns."""

    def __init__(self, held: Sequence[Held], dtype: type) -> None:
        self.held = held
        least, greatest = _bounds(dtype)
        self.ufunc, self.identity = {
            "min": (np.minimum, greatest),
            "max": (np.maximum, least),
        }[held[0].function]
        self.extreme: NDArray[Any] = np.zeros((0, 0, len(held)), dtype)

    def reserve(self, slots: int, depth: int) -> None:
        self.extreme = _grow(self.extreme, slots, depth, self.identity)

    def reset(self, places: Indices) -> None:
        _tiles(self.extreme)[places] = self.identity

    def add(self, places: Indices, starts: Indices, batch: Batch) -> None:
        values, valid = _stacked(self.held, batch)
        found = self.ufunc.reduceat(np.where(valid, values, self.identity), starts, axis=1).T
        tiles = _tiles(self.extreme)
        tiles[places] = self.ufunc(tiles[places], found)

    def read(self, slots: Indices, inside: NDArray[np.bool_]) -> NDArray[Any]:
        values = np.where(inside[..., None], self.extreme[slots][:, None], self.identity)
        extreme: NDArray[Any] = self.ufunc.reduce(values, axis=2)
        return extreme

    def arrays(self, number: int) -> list[NDArray[Any]]:
        return [self.extreme[:, :, number]]


def _bounds(dtype: type) -> tuple[Any, Any]:
    if dtype is np.float64:
        return -np.inf, np.inf
    if dtype is np.bool_:
        return False, True
    info = np.iinfo(dtype)
    return info.min, info.max


class Last:
    """The values of the latest events, ties of event time broken by offset at the source."""

    def __init__(self, held: Sequence[Held], dtype: type) -> None:
        self.held = held
        shape = (0, 0, len(held))
        self.event_ms, self.order = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.value: NDArray[Any] = np.zeros(shape, dtype)

    def reserve(self, slots: int, depth: int) -> None:
        self.event_ms = _grow(self.event_ms, slots, depth, NEVER)
        self.order = _grow(self.order, slots, depth, -1)
        self.value = _grow(self.value, slots, depth, 0)

    def reset(self, places: Indices) -> None:
        _tiles(self.event_ms)[places] = NEVER
        _tiles(self.order)[places] = -1

    def add(self, places: Indices, starts: Indices, batch: Batch) -> None:
        values, valid = _stacked(self.held, batch)
        # The last valid row of each group is its latest, -1 where there is none.
        rows = np.maximum.reduceat(np.where(valid, np.arange(len(batch)), -1), starts, axis=1).T
        event_ms, order = batch.event_ms[rows], batch.order[rows]  # (g, k)
        values = values[np.arange(len(self.held)), rows]
        event_tiles, order_tiles, value_tiles = map(_tiles, (self.event_ms, self.order, self.value))
        held_ms, held_order = event_tiles[places], order_tiles[places]
        later = (rows >= 0) & ((event_ms > held_ms) | (event_ms == held_ms) & (order > held_order))
        event_tiles[places] = np.where(later, event_ms, held_ms)
        order_tiles[places] = np.where(later, order, held_order)
        value_tiles[places] = np.where(later, values, value_tiles[places])

    def read(self, slots: Indices, inside: NDArray[np.bool_]) -> NDArray[Any]:
        event_ms = np.where(inside[..., None], self.event_ms[slots][:, None], NEVER)
        newest = event_ms.argmax(axis=2)  # (n, windows, k)
        value: NDArray[Any] = self.value[slots[:, None, None], newest, np.arange(len(self.held))]
        return value

    def arrays(self, number: int) -> list[NDArray[Any]]:
        return [array[:, :, number] for array in (self.event_ms, self.order, self.value)]


_MAKE: dict[str, Callable[[Sequence[Held], type], Accumulator]] = {
    "total": Totals,
    "min": Extreme,
    "max": Extreme,
    "last": Last,
}
