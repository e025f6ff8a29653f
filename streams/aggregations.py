"""The aggregations: what each needs of tiles, and how it makes a value of what was read from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.plan import AggregationSpec
from streams.accumulators import Held
from streams.fixed_point import FixedPoint

Values = tuple[NDArray[Any], NDArray[np.bool_]]  # values and validity, shape (n,)
# What tiles hold over a window, shape (n,), by the name of what they hold and the length of the window.
Reading = Mapping[tuple[str, int], NDArray[Any]]


class Aggregation:
    """One function of one column.

    The value over a window without any non-null value is null, except for counts, which are 0.
    """

    def __init__(self, spec: AggregationSpec) -> None:
        self.spec = spec
        self._count = Held("count", spec.column)
        self._counted = self._count.name, spec.window_ms

    @property
    def held(self) -> list[Held]:
        """What every tile must hold."""
        return [self._count]

    def read(self, reading: Reading) -> Values:
        """Values of shape (n,) and their validity."""
        raise NotImplementedError


class CountAggregation(Aggregation):
    def read(self, reading: Reading) -> Values:
        counted = reading[self._counted]
        return counted, np.ones(len(counted), np.bool_)


class SumAggregation(Aggregation):
    def __init__(self, spec: AggregationSpec) -> None:
        super().__init__(spec)
        self._fixed = FixedPoint(spec.quantum)
        self._sum = Held("sum", spec.column, self._fixed)
        self._summed = self._sum.name, spec.window_ms
        self._whole = spec.dtype in ("Int32", "Int64")

    @property
    def held(self) -> list[Held]:
        return [self._count, self._sum]

    def read(self, reading: Reading) -> Values:
        quanta = reading[self._summed]
        values = quanta if self._whole else self._fixed.to_float(quanta)
        return values, reading[self._counted] > 0


class MeanAggregation(SumAggregation):
    def read(self, reading: Reading) -> Values:
        total = self._fixed.to_float(reading[self._summed])
        counted = reading[self._counted]
        return total / np.maximum(counted, 1), counted > 0


class ChosenAggregation(Aggregation):
    """One of the values there were: the least, the greatest or the last."""

    def __init__(self, spec: AggregationSpec) -> None:
        super().__init__(spec)
        assert spec.function in ("min", "max", "last")
        self._chosen = Held(spec.function, spec.column)
        self._value = self._chosen.name, spec.window_ms

    @property
    def held(self) -> list[Held]:
        return [self._count, self._chosen]

    def read(self, reading: Reading) -> Values:
        return reading[self._value], reading[self._counted] > 0


AGGREGATIONS: dict[str, type[Aggregation]] = {
    "count": CountAggregation,
    "sum": SumAggregation,
    "mean": MeanAggregation,
    "min": ChosenAggregation,
    "max": ChosenAggregation,
    "last": ChosenAggregation,
}
