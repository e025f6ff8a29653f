"""Sums and means, exact in fixed point: a value that its type cannot hold is null, never a wrong number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.avro import Column
from headrace.schemas.feature_specs import AggregationSpec
from headrace.schemas.feature_types import ValueType
from headrace.streams.aggregations.accumulator import AccumulatorSpec
from headrace.streams.aggregations.aggregation import Aggregation, Reading, Values
from headrace.streams.aggregations.totals import LIMB_BITS, LIMB_MASK, Totals, carried
from headrace.streams.columnar.fixed_point import EXACT, LIMIT, FixedPoint

MOST_VALUES = 1 << 31  # in a window: so many of 32 bits do not overflow a limb
_HIGH = float(1 << LIMB_BITS)
_ROUNDING = 1e-12
_WHOLE: dict[str, type] = {"Int32": np.int32, "Int64": np.int64}


@dataclass(frozen=True)
class Quanta:
    """A term of a total: the value in quanta."""

    code: ClassVar[str] = "Quanta"
    fixed: FixedPoint
    limbs = 2

    @property
    def text(self) -> str:
        return f"Quanta(fixed={self.fixed.text})"

    def of(self, column: Column) -> NDArray[np.int64]:
        quanta = self.fixed.quanta_of(column)
        limbs = np.empty((2, len(quanta)), np.int64)
        np.bitwise_and(quanta, LIMB_MASK, out=limbs[0])
        np.right_shift(quanta, LIMB_BITS, out=limbs[1])
        return limbs


class Summing(Aggregation):
    """The base of aggregations that need the sum of the values."""

    summed = True

    def __init__(self, spec: AggregationSpec) -> None:
        super().__init__(spec)
        self._fixed = FixedPoint(spec.quantum)
        self._sum = AccumulatorSpec(Totals, spec.column, Quanta(self._fixed))
        self._summed = self._sum.name, spec.window_ms
        self._greatest = float(np.finfo(np.float32 if spec.dtype == "Float32" else np.float64).max)
        self.sum_name, self.count_name = self._sum.name, self._count.name
        self.safe = self._safe()

    @property
    def accumulators(self) -> list[AccumulatorSpec]:
        return [self._count, self._sum]

    def _safe(self) -> float:
        """Return a bound: a sum of fewer quanta in magnitude fits, whatever the values are."""
        return math.inf if self._reach() < self._greatest else 0.0

    def _reach(self) -> float:
        """Return the greatest magnitude that a value of the feature can have."""
        return LIMIT * self._fixed.quantum

    def sum_of(self, reading: Reading, row: int) -> int:
        """Return the exact sum of a row in quanta."""
        low, high = reading[self._summed][row].tolist()
        return int(high << LIMB_BITS) + int(low)

    def _total(self, reading: Reading) -> NDArray[np.float64]:
        """Return the sum in quanta, rounded to float64 once: both limbs are exact in it."""
        limbs = reading[self._summed]
        low, high = limbs[:, 0], limbs[:, 1]
        if low.max() >= EXACT:
            low, high = carried(limbs).T
        total: NDArray[np.float64] = high * _HIGH + low
        return total

    def _fitting(self, reading: Reading, values: NDArray[np.float64]) -> Values:
        """Return values, valid where one is due and the type of the feature can hold it."""
        fits = (np.abs(values) <= self._greatest) & (reading[self._counted] < MOST_VALUES)
        return values, self.due(reading) & fits


class Sum(Summing):
    """The sum.

    A sum of whole numbers is valid within the integer type of the feature. Others are valid below 2^53
    quanta, where neighbouring multiples of the quantum are different float64s.
    """

    def __init__(self, spec: AggregationSpec) -> None:
        bounds = np.iinfo(_WHOLE[spec.dtype]) if spec.dtype in _WHOLE else None
        self._bounds = None if bounds is None else (int(bounds.min), int(bounds.max))
        super().__init__(spec)

    def _safe(self) -> float:
        most = min(EXACT, self._greatest / self._fixed.quantum) if self._bounds is None else self._bounds[1]
        return most * (1 - _ROUNDING)

    @staticmethod
    def types(kind: str) -> tuple[ValueType, ...]:
        if kind in ("int", "long"):
            return "Int64", "Float64"
        return ("Float64", "Float32") if kind in ("float", "double") else ()

    def read(self, reading: Reading) -> Values:
        if self._bounds is not None:
            return self._read_whole(reading, *self._bounds)
        quanta = self._total(reading)
        values, fits = self._fitting(reading, self._fixed.to_float(quanta))
        return values, fits & (np.abs(quanta) < EXACT)

    def _read_whole(self, reading: Reading, least: int, most: int) -> Values:
        low, high = reading[self._summed].T
        top = high + (low >> LIMB_BITS)
        sums = (high << LIMB_BITS) + low  # right where `top` is within int64
        fits = (top == sums >> LIMB_BITS) & (sums >= least) & (sums <= most)
        return sums, self.due(reading) & fits & (reading[self._counted] < MOST_VALUES)


class Mean(Summing):
    """The exact sum, rounded to float64, divided by the count."""

    @staticmethod
    def types(kind: str) -> tuple[ValueType, ...]:
        return ("Float64", "Float32") if kind in ("int", "long", "float", "double") else ()

    def read(self, reading: Reading) -> Values:
        means = self._fixed.to_float(self._total(reading)) / np.maximum(reading[self._counted], 1)
        return self._fitting(reading, means)
