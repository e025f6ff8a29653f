"""Sums and means, exact in fixed point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.avro import Column
from schemas.plan import AggregationSpec, ValueType
from streams.accumulators import Held
from streams.aggregations.aggregation import Aggregation, Reading, Values
from streams.aggregations.totals import LIMB_BITS, LIMB_MASK, Totals, carried
from streams.fixed_point import FixedPoint

_HIGH = float(1 << LIMB_BITS)
_EXACT = 1 << 53  # whole numbers below are exact in float64
_LEAST = -(1 << 63) >> LIMB_BITS


@dataclass(frozen=True)
class Quanta:
    """The values in quanta."""

    fixed: FixedPoint
    limbs = 2

    def of(self, column: Column) -> NDArray[np.int64]:
        quanta = self.fixed.quanta_of(column)
        limbs = np.empty((2, len(quanta)), np.int64)
        np.bitwise_and(quanta, LIMB_MASK, out=limbs[0])
        np.right_shift(quanta, LIMB_BITS, out=limbs[1])
        return limbs


class Summing(Aggregation):
    """Whatever needs the sum of the values."""

    summed = True

    def __init__(self, spec: AggregationSpec) -> None:
        super().__init__(spec)
        self._fixed = FixedPoint(spec.quantum)
        self._sum = Held(Totals, spec.column, Quanta(self._fixed))
        self._summed = self._sum.name, spec.window_ms

    @property
    def held(self) -> list[Held]:
        return [self._count, self._sum]

    def _total(self, reading: Reading) -> NDArray[np.float64]:
        """The sum of the quanta, rounded to float64 once: both limbs are exact in it."""
        limbs = reading[self._summed]
        low, high = limbs[:, 0], limbs[:, 1]
        if low.max() >= _EXACT:
            low, high = carried(limbs).T
        return self._fixed.to_float(high * _HIGH + low)


class Sum(Summing):
    """In a whole-numbered feature, a sum beyond int64 (or, by Feast's type, int32) is null."""

    def __init__(self, spec: AggregationSpec) -> None:
        super().__init__(spec)
        self._whole = spec.dtype in ("Int32", "Int64")

    @staticmethod
    def types(kind: str) -> tuple[ValueType, ...]:
        if kind in ("int", "long"):
            return "Int64", "Float64"
        return ("Float64", "Float32") if kind in ("float", "double") else ()

    def read(self, reading: Reading) -> Values:
        some = reading[self._counted] > 0
        if not self._whole:
            return self._total(reading), some
        limbs = reading[self._summed]
        low, high = limbs[:, 0], limbs[:, 1]
        top = high + (low >> LIMB_BITS)
        return (high << LIMB_BITS) + low, some & (top >= _LEAST) & (top <= ~_LEAST)


class Mean(Summing):
    """The exact sum, rounded to float64, divided by the count."""

    @staticmethod
    def types(kind: str) -> tuple[ValueType, ...]:
        return ("Float64", "Float32") if kind in ("int", "long", "float", "double") else ()

    def read(self, reading: Reading) -> Values:
        counted = reading[self._counted]
        return self._total(reading) / np.maximum(counted, 1), counted > 0
