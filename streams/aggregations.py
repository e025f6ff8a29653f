"""The aggregations: which accumulators each needs, and how it reads a window from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.plan import AggregationSpec
from streams.accumulators import Accumulator, Count, Extreme, Last, Sum

Accumulators = Mapping[str, Accumulator]
Values = tuple[NDArray[Any], NDArray[np.bool_]]  # values and validity, shape (n,)
Dtype = Callable[[str], type]  # numpy type of a column by its name


class Window(NamedTuple):
    """What is read: rows `slots` (n,) of a ring, the tiles where `inside` (n, depth) is True, and their
    numbers `tiles` (n, depth). `counted` keeps the counts of columns, which most aggregations need."""

    slots: NDArray[np.int64]
    inside: NDArray[np.bool_]
    tiles: NDArray[np.int64]
    counted: dict[str, NDArray[np.int64]]


class Aggregation:
    """One function of one column. Subclasses say what tiles hold and how a window is read.

    The value over a window without any non-null value is null, except for counts, which are 0.
    """

    def __init__(self, spec: AggregationSpec, dtype: Dtype) -> None:
        self.spec = spec
        self.column = spec.column
        self.dtype = dtype(spec.column)

    @property
    def _count(self) -> str:
        return f"count({self.column})"

    def accumulators(self) -> dict[str, Accumulator]:
        """What every tile must hold, by a name that equal needs share."""
        return {self._count: Count(self.column)}

    def read(self, held: Accumulators, window: Window) -> Values:
        """Values of shape (n,) and their validity."""
        raise NotImplementedError

    def _counted(self, held: Accumulators, window: Window) -> NDArray[np.int64]:
        if self.column not in window.counted:
            count = held[self._count]
            assert isinstance(count, Count)
            inside = np.where(window.inside, count.count[window.slots], 0)
            window.counted[self.column] = inside.sum(axis=1)
        return window.counted[self.column]


class CountAggregation(Aggregation):
    def read(self, held: Accumulators, window: Window) -> Values:
        counted = self._counted(held, window)
        return counted, np.ones(len(counted), np.bool_)


class SumAggregation(Aggregation):
    @property
    def _sum(self) -> str:
        return f"sum({self.column}, {self.spec.quantum})"

    def accumulators(self) -> dict[str, Accumulator]:
        return {**super().accumulators(), self._sum: Sum(self.column, self.spec.quantum)}

    def read(self, held: Accumulators, window: Window) -> Values:
        quanta = self._quanta(held, window)
        whole = self.spec.dtype in ("Int32", "Int64")
        values = quanta if whole else self._total(held).fixed.to_float(quanta)
        return values, self._counted(held, window) > 0

    def _total(self, held: Accumulators) -> Sum:
        total = held[self._sum]
        assert isinstance(total, Sum)
        return total

    def _quanta(self, held: Accumulators, window: Window) -> NDArray[np.int64]:
        quanta = self._total(held).quanta[window.slots]
        summed: NDArray[np.int64] = np.where(window.inside, quanta, 0).sum(axis=1)
        return summed


class MeanAggregation(SumAggregation):
    def read(self, held: Accumulators, window: Window) -> Values:
        total = self._total(held).fixed.to_float(self._quanta(held, window))
        counted = self._counted(held, window)
        return total / np.maximum(counted, 1), counted > 0


class _ExtremeAggregation(Aggregation):
    ufunc: np.ufunc

    @property
    def _extreme(self) -> str:
        return f"{self.spec.function}({self.column})"

    def accumulators(self) -> dict[str, Accumulator]:
        extreme = Extreme(self.column, self.ufunc, self.dtype)
        return {**super().accumulators(), self._extreme: extreme}

    def read(self, held: Accumulators, window: Window) -> Values:
        extreme = held[self._extreme]
        assert isinstance(extreme, Extreme)
        values = np.where(window.inside, extreme.extreme[window.slots], extreme.identity)
        return self.ufunc.reduce(values, axis=1), self._counted(held, window) > 0


class MinAggregation(_ExtremeAggregation):
    ufunc = np.minimum


class MaxAggregation(_ExtremeAggregation):
    ufunc = np.maximum


class LastAggregation(Aggregation):
    @property
    def _last(self) -> str:
        return f"last({self.column})"

    def accumulators(self) -> dict[str, Accumulator]:
        return {**super().accumulators(), self._last: Last(self.column, self.dtype)}

    def read(self, held: Accumulators, window: Window) -> Values:
        last, count = held[self._last], held[self._count]
        assert isinstance(last, Last)
        assert isinstance(count, Count)
        have = window.inside & (count.count[window.slots] > 0)
        newest = np.where(have, window.tiles, np.iinfo(np.int64).min).argmax(axis=1)
        found = np.asarray(have.any(axis=1))
        return last.value[window.slots, newest], found


AGGREGATIONS: dict[str, type[Aggregation]] = {
    "count": CountAggregation,
    "sum": SumAggregation,
    "mean": MeanAggregation,
    "min": MinAggregation,
    "max": MaxAggregation,
    "last": LastAggregation,
}
