"""Percentiles, by DDSketch buckets (Masson, Rim, Lee: "DDSketch", VLDB 2019).

A bucket holds the values between two neighbouring numbers of the form ``2^e (1 + j/64)``, told by the leading
bits of a float64, so that no logarithm is taken and none rounded. The number returned for it is within 1/129
(0.78 %) of every value in it. A tile or window keeps its `MOST` highest buckets that are not empty; what is
lower is counted in the lowest of them. That depends on neither order nor batching, and merged tiles are what
one sketch of all their values would be.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from schemas.plan import AggregationSpec, ValueType
from streams.accumulators import Accumulator, Held, Indices, grow, tiles_of
from streams.aggregations.aggregation import Aggregation, Reading, Values
from streams.batch import Batch

MOST = 256  # buckets
_PARTS = 64  # buckets from one power of two to the next
_SHIFT = 52 - 6  # bits of a float64 below those that tell the bucket
_COUNT_BITS = 40
_COUNT_MASK = (1 << _COUNT_BITS) - 1
_CODE_BITS = 19  # of a bucket: its number is below 2^17 in magnitude
_HIGHEST = 1 << 18
_AT_ONCE = 1 << 20  # buckets looked at together


def _bucket_of(values: NDArray[Any]) -> NDArray[np.int64]:
    """Bucket numbers in the order of the values; 0 for zero and what is subnormal."""
    numbers = values.astype(np.float64)
    magnitude = np.abs(numbers).view(np.int64) >> _SHIFT
    magnitude[magnitude < _PARTS] = 0
    return np.where(numbers < 0, -magnitude, magnitude)


def _value_of(buckets: NDArray[np.int64]) -> NDArray[np.float64]:
    """The number that is nearest, in proportion, to all of a bucket."""
    magnitude = np.abs(buckets)
    lower = (magnitude << _SHIFT).view(np.float64)
    value = lower * (1 + 1 / (2 * _PARTS + 1 + 2 * (magnitude % _PARTS)))
    return np.where(buckets < 0, -value, value)


def _kept(
    rows: int, row: NDArray[np.int64], bucket: NDArray[np.int64], count: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The highest buckets of each row, shape (rows, MOST): ``number << 40 | count``, falling, then zeros."""
    kept = np.zeros((rows, MOST), np.int64)
    if not len(row):
        return kept
    code = row << _CODE_BITS | _HIGHEST - bucket
    by = np.argsort(code, kind="stable")
    code = code[by]
    starts = np.flatnonzero(np.concatenate(([True], code[1:] != code[:-1])))
    code, count = code[starts], np.add.reduceat(count[by], starts)
    row = code >> _CODE_BITS
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    held = rank < MOST
    kept[row[held], rank[held]] = (_HIGHEST - (code[held] & ((1 << _CODE_BITS) - 1))) << _COUNT_BITS
    np.add.at(kept, (row, np.minimum(rank, MOST - 1)), count)
    return kept


class Buckets(Accumulator):
    """Buckets of every tile, int64 of shape (slots, depth, MOST), one array for each of the k."""

    def __init__(self, held: Sequence[Held], dtype: type) -> None:
        super().__init__(held, dtype)
        self.buckets = [np.zeros((0, 0, MOST), np.int64) for _ in held]

    @staticmethod
    def shared_by(held: Held, dtype: type) -> Hashable:
        return None

    def reserve(self, slots: int, depth: int) -> None:
        self.buckets = [grow(array, slots, depth, 0) for array in self.buckets]

    def reset(self, places: Indices) -> None:
        for array in self.buckets:
            tiles_of(array)[places] = 0

    def add(self, places: Indices, starts: Indices, batch: Batch) -> None:
        tile = np.repeat(np.arange(len(places)), np.diff(starts, append=len(batch)))
        for held, array in zip(self.held, self.buckets, strict=True):
            column = batch.columns[held.column]
            fresh = _bucket_of(column.values[column.valid])
            tiles = tiles_of(array)
            row, bucket, count = _entries(tiles[places])
            tiles[places] = _kept(
                len(places),
                np.concatenate([row, tile[column.valid]]),
                np.concatenate([bucket, fresh]),
                np.concatenate([count, np.ones(len(fresh), np.int64)]),
            )

    def read(self, slots: Indices, inside: NDArray[np.bool_]) -> Sequence[NDArray[Any]]:
        """Merged buckets, shape (n, windows, MOST)."""
        return [self._merged(array, slots, inside) for array in self.buckets]

    def _merged(
        self, array: NDArray[np.int64], slots: Indices, inside: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        merged = np.zeros((*inside.shape[:2], MOST), np.int64)
        step = max(1, _AT_ONCE // (inside.shape[2] * MOST))
        for start in range(0, len(slots), step):
            some = slice(start, start + step)
            tiles = array[slots[some]]
            for window in range(inside.shape[1]):
                held = tiles * inside[some, window, :, None]
                merged[some, window] = _kept(len(tiles), *_entries(held.reshape(len(tiles), -1)))
        return merged

    def arrays(self, number: int) -> list[NDArray[Any]]:
        return [self.buckets[number]]


def _entries(kept: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Row, bucket number and count of all that is not empty."""
    row, position = np.nonzero(kept)
    entries = kept[row, position]
    return row, entries >> _COUNT_BITS, entries & _COUNT_MASK


class Percentile(Aggregation):
    """Of n values in order, that at ``floor((n - 1) * percent / 100)``, counted from 0; within 1 % of it."""

    percent: ClassVar[int]

    def __init__(self, spec: AggregationSpec) -> None:
        super().__init__(spec)
        self._sketch = Held(Buckets, spec.column)
        self._merged = self._sketch.name, spec.window_ms

    @staticmethod
    def types(kind: str) -> tuple[ValueType, ...]:
        return ("Float64", "Float32") if kind in ("int", "long", "float", "double") else ()

    @classmethod
    def tile_bytes(cls, spec: AggregationSpec) -> int:
        return 8 * MOST

    @property
    def held(self) -> list[Held]:
        return [self._count, self._sketch]

    def read(self, reading: Reading) -> Values:
        entries, counted = reading[self._merged], reading[self._counted]
        above = counted - 1 - (counted - 1) * self.percent // 100  # how many values are higher
        reached = np.cumsum(entries & _COUNT_MASK, axis=1) > above[:, None]
        chosen = entries[np.arange(len(entries)), reached.argmax(axis=1)]
        return _value_of(chosen >> _COUNT_BITS), counted > 0


class P50(Percentile):
    percent = 50


class P75(Percentile):
    percent = 75


class P90(Percentile):
    percent = 90


class P95(Percentile):
    percent = 95


class P99(Percentile):
    percent = 99
