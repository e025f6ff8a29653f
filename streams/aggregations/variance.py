"""Variance and standard deviation, exact: from the sums of the quanta and of their squares.

With n values, their sum S and the sum of their squares Q in quanta, the squared deviations from the mean sum
to (n Q - S^2) / n quanta squared. That is computed in whole numbers and rounded to float64 once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.avro import Column
from headrace.schemas.feature_specs import AggregationSpec
from headrace.streams.aggregations.accumulator import AccumulatorSpec
from headrace.streams.aggregations.aggregation import Reading, Values
from headrace.streams.aggregations.sum import Mean
from headrace.streams.aggregations.totals import LIMB_BITS, LIMB_MASK, Totals, carried
from headrace.streams.columnar.fixed_point import LIMIT, FixedPoint

_EXACT = 2.0**53  # whole numbers below are exact in float64
_HALF_BITS = 24  # of a value's 47
_HALF_MASK = (1 << _HALF_BITS) - 1


@dataclass(frozen=True)
class Squares:
    """A term of a total: the square of the quanta, of 94 bits."""

    code: ClassVar[str] = "Squares"
    fixed: FixedPoint
    limbs = 3

    @property
    def text(self) -> str:
        return f"Squares(fixed={self.fixed.text})"

    def of(self, column: Column) -> NDArray[np.int64]:
        quanta = np.abs(self.fixed.quanta_of(column))
        high, low = quanta >> _HALF_BITS, quanta & _HALF_MASK
        middle = 2 * high * low
        # The square is top * 2^48 + bottom, both below 2^63.
        bottom = low * low + ((middle & _HALF_MASK) << _HALF_BITS)
        top = high * high + (middle >> _HALF_BITS) + (bottom >> 48)
        rest = (top << 16) + ((bottom >> LIMB_BITS) & 0xFFFF)
        return np.stack([bottom & LIMB_MASK, rest & LIMB_MASK, rest >> LIMB_BITS])


class Variance(Mean):
    """The variance of a sample, divided by n - 1: ``var_samp`` of SQL. Null over fewer than two values."""

    freedom: ClassVar[int] = 1  # taken from n

    def __init__(self, spec: AggregationSpec) -> None:
        super().__init__(spec)
        self._squares = AccumulatorSpec(Totals, spec.column, Squares(self._fixed))
        self._squared = self._squares.name, spec.window_ms

    @property
    def accumulators(self) -> list[AccumulatorSpec]:
        return [self._count, self._sum, self._squares]

    def _reach(self) -> float:
        return 2 * (LIMIT * self._fixed.quantum) ** 2

    def due(self, reading: Reading) -> NDArray[np.bool_]:
        due: NDArray[np.bool_] = reading[self._counted] > self.freedom
        return due

    def read(self, reading: Reading) -> Values:
        return self._fitting(reading, self._variances(reading))

    def _variances(self, reading: Reading) -> NDArray[np.float64]:
        counted = np.where(self.due(reading), reading[self._counted], 2)
        total, squares = carried(reading[self._summed]), carried(reading[self._squared])
        numer, denom = self._fixed.ratio
        return _variance(counted, self.freedom, total, squares, numer**2, denom**2)


class Deviation(Variance):
    """The standard deviation of a sample: ``stddev_samp`` of SQL."""

    def read(self, reading: Reading) -> Values:
        return self._fitting(reading, np.sqrt(self._variances(reading)))


class PopulationVariance(Variance):
    """The variance of a population, divided by n: ``var_pop`` of SQL."""

    freedom = 0


class PopulationDeviation(Deviation):
    """The standard deviation of a population: ``stddev_pop`` of SQL."""

    freedom = 0


def _variance(
    count: NDArray[np.int64],
    freedom: int,
    total: NDArray[np.int64],
    squares: NDArray[np.int64],
    numer: int,
    denom: int,
) -> NDArray[np.float64]:
    """Return ``(n Q - S^2) numer / (n (n - freedom) denom)``, shape (n,), rounded once.

    Computed in float64 where every number on the way is whole and below 2^53, else row by row in Python.
    """
    parts = count * (count - freedom)
    as_float = count * _float(squares) * numer, _float(total) ** 2 * numer, parts * float(denom)
    small = np.all([number < _EXACT for number in as_float], axis=0)
    variance: NDArray[np.float64] = (as_float[0] - as_float[1]) / as_float[2]
    for row in np.flatnonzero(~small).tolist():
        n, whole = int(count[row]), int(parts[row])
        spread = n * _whole(squares[row]) - _whole(total[row]) ** 2
        variance[row] = spread * numer / (whole * denom)
    return variance


def _float(limbs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return carried limbs, shape (n, limbs), as float64; exact below 2^53."""
    number: NDArray[np.float64] = limbs @ np.array([2.0 ** (LIMB_BITS * n) for n in range(limbs.shape[1])])
    return number


def _whole(limbs: NDArray[np.int64]) -> int:
    """Return carried limbs, shape (limbs,), as one number."""
    return sum(limb << (LIMB_BITS * number) for number, limb in enumerate(limbs.tolist()))
