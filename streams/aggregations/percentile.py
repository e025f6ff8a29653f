"""Percentiles, by DDSketch buckets (Masson, Rim, Lee: "DDSketch", VLDB 2019) that collapse evenly (Epicoco et
al.: "UDDSketch", 2020).

A bucket holds the values between two neighbouring numbers of the form ``2^e (1 + j/64)``. The leading bits
of a float64 are its number, so that no logarithm is taken and none rounded. The number returned for a
bucket is within 1/129 (0.78 %) of every value in it. Where values fall into more than `MOST` buckets, all
are made twice as wide, which is a level more, until they do not. The level, and with it the error of any
percentile, depends on the values alone, neither on their order nor on batches; merged tiles are equal to
one sketch of all values.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.feature_specs import AggregationSpec
from headrace.schemas.feature_types import ValueType
from headrace.streams.aggregations.accumulator import AccumulatorSpec, Indices
from headrace.streams.aggregations.aggregation import Aggregation, Reading, Values
from headrace.streams.aggregations.ragged import RaggedAccumulator
from headrace.streams.columnar.batch import Batch
from headrace.streams.columnar.ragged_rows import RaggedRows, spans

MOST = 256  # buckets of a sketch
_PARTS = 64  # buckets of level 0 from one power of two to the next
_SHIFT = 52 - 6  # bits of a float64 below those of its bucket
_COUNT_BITS, _LEVEL_BITS = 36, 4  # of an entry; the rest is the bucket's number
_COUNT_MASK, _LEVEL_MASK = (1 << _COUNT_BITS) - 1, (1 << _LEVEL_BITS) - 1
_CODE_BITS = 19  # of a bucket: its number is below 2^17 in magnitude
_HIGHEST = 1 << 18

Entries = tuple[Indices, Indices, Indices, Indices]  # row, bucket number, level, count


def _bucket_of(values: NDArray[Any]) -> Indices:
    """Return bucket numbers, which are in the order of the values; 0 for zero and subnormal numbers."""
    numbers = values.astype(np.float64)
    magnitude = np.abs(numbers).view(np.int64) >> _SHIFT
    magnitude[magnitude < _PARTS] = 0
    return np.where(numbers < 0, -magnitude, magnitude)


def _value_of(buckets: Indices, levels: Indices) -> NDArray[np.float64]:
    """Return the number nearest, in proportion, to both ends a, b of a bucket: ``a 2 / (1 + a/b)``."""
    magnitude = np.abs(buckets)
    lower = (magnitude << _SHIFT).view(np.float64)
    parts = np.maximum(_PARTS >> levels, 1)
    part = parts + (magnitude >> levels) % parts
    doublings = 1 << np.maximum(levels - 6, 0)  # beyond level 6 a bucket is whole powers of two wide
    ratio = np.where(levels > 6, 0.5**doublings, part / (part + 1))
    value = lower * (2 / (1 + ratio))
    return np.where(buckets < 0, -value, value)


def _widened(rows: int, entries: Entries) -> tuple[Indices, Indices]:
    """Widen the buckets of each row until they are few enough.

    Returns
    -------
    size
        Number of buckets of each row, shape (rows,).
    entries
        Number, level and count of each bucket in one, by row and falling number.
    """
    row, bucket, levels, count = entries
    level = np.zeros(rows, np.int64)
    if levels.any():
        np.maximum.at(level, row, levels)
    row, bucket, count = _merged(row, bucket, count, level)
    while ((size := np.bincount(row, minlength=rows)) > MOST).any():
        level += size > MOST
        row, bucket, count = _merged(row, bucket, count, level)
    return size, (bucket << _LEVEL_BITS | level[row]) << _COUNT_BITS | count


def _merged(
    row: Indices, bucket: Indices, count: Indices, level: Indices
) -> tuple[Indices, Indices, Indices]:
    """Merge buckets at the level of their row; sorted by row and falling number."""
    own = level[row]
    magnitude = np.abs(bucket) >> own << own
    code = row << _CODE_BITS | _HIGHEST - np.where(bucket < 0, -magnitude, magnitude)
    bits = len(code).bit_length()
    by = np.sort(code << bits | np.arange(len(code)))  # faster than to argsort
    code, by = by >> bits, by & ((1 << bits) - 1)
    starts = np.flatnonzero(np.diff(code, prepend=-1))
    code = code[starts]
    counts = np.add.reduceat(count[by], starts) if len(starts) else count
    return code >> _CODE_BITS, _HIGHEST - (code & ((1 << _CODE_BITS) - 1)), counts


class Buckets(RaggedAccumulator):
    """Buckets of each tile that are not empty, a set of rows for each of the k."""

    code = "Buckets"
    state_format = 2

    def __init__(self, specs: Sequence[AccumulatorSpec], dtype: type) -> None:
        super().__init__(specs, dtype, np.int64, MOST)

    @staticmethod
    def shared_by(spec: AccumulatorSpec, dtype: type) -> Hashable:
        return None

    def add(self, places: Indices, starts: Indices, batch: Batch) -> None:
        tile = np.repeat(np.arange(len(places)), np.diff(starts, append=len(batch)))
        for spec, rows in zip(self.specs, self.rows, strict=True):
            column = batch.columns[spec.column]
            fresh = _bucket_of(column.values[column.valid])
            new = tile[column.valid], fresh, np.zeros_like(fresh), np.ones_like(fresh)
            old = _entries(*rows.gather(places))
            row, bucket, level, count = (np.concatenate(pair) for pair in zip(old, new, strict=True))
            rows.replace(places, *_widened(len(places), (row, bucket, level, count)))

    def read(self, slots: Indices, inside: NDArray[np.bool_]) -> Sequence[NDArray[Any]]:
        """Return merged buckets, shape (n, windows, buckets of the largest sketch)."""
        return [_over_windows(rows, self._places(slots), inside) for rows in self.rows]


def _over_windows(rows: RaggedRows, places: Indices, inside: NDArray[np.bool_]) -> Indices:
    """Merge sketches over windows, (n, windows, at most MOST): buckets by falling number, then zeros."""
    portions = rows.portions(places)
    windows = [
        [_over_window(rows, places[portion], inside[portion, window]) for portion in portions]
        for window in range(inside.shape[1])
    ]
    widest = max((int(size.max(initial=1)) for parts in windows for size, _ in parts), default=1)
    merged = np.zeros((*inside.shape[:2], widest), np.int64)
    for window, parts in enumerate(windows):
        size = np.concatenate([size for size, _ in parts])
        places_in = np.repeat(np.arange(len(size)), size), spans(np.zeros_like(size), size)
        merged[:, window][places_in] = np.concatenate([entries for _, entries in parts])
    return merged


def _over_window(rows: RaggedRows, places: Indices, inside: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    key, position = np.nonzero(inside)
    size, entries = rows.gather(places[key, position])
    row, bucket, level, count = _entries(size, entries)
    return _widened(len(places), (key[row], bucket, level, count))


def _entries(size: Indices, entries: Indices) -> Entries:
    """Take entries apart: row, bucket number, level and count of each."""
    heads = entries >> _COUNT_BITS
    row = np.repeat(np.arange(len(size)), size)
    return row, heads >> _LEVEL_BITS, heads & _LEVEL_MASK, entries & _COUNT_MASK


class Percentile(Aggregation):
    """The value at ``floor((n - 1) * percent / 100)`` of n values in order, counted from 0."""

    percent: ClassVar[int]

    def __init__(self, spec: AggregationSpec) -> None:
        super().__init__(spec)
        self._sketch = AccumulatorSpec(Buckets, spec.column)
        self._merged = self._sketch.name, spec.window_ms

    @staticmethod
    def types(kind: str) -> tuple[ValueType, ...]:
        return ("Float64", "Float32") if kind in ("int", "long", "float", "double") else ()

    @classmethod
    def tile_bytes(cls, spec: AggregationSpec) -> int:
        return 8 * MOST

    @property
    def accumulators(self) -> list[AccumulatorSpec]:
        return [self._count, self._sketch]

    def read(self, reading: Reading) -> Values:
        entries, counted = reading[self._merged], reading[self._counted]
        above = counted - 1 - (counted - 1) * self.percent // 100  # how many values are higher
        reached = np.cumsum(entries & _COUNT_MASK, axis=1) > above[:, None]
        chosen = entries[np.arange(len(entries)), reached.argmax(axis=1)]
        heads = chosen >> _COUNT_BITS
        return _value_of(heads >> _LEVEL_BITS, heads & _LEVEL_MASK), counted > 0


class P50(Percentile):
    """The median."""

    percent = 50


class P75(Percentile):
    """The 75th percentile."""

    percent = 75


class P90(Percentile):
    """The 90th percentile."""

    percent = 90


class P95(Percentile):
    """The 95th percentile."""

    percent = 95


class P99(Percentile):
    """The 99th percentile."""

    percent = 99
