"""Fixed-point numbers: sums that are exact and do not depend on order or batching."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.avro import Column

LIMIT = 2**47  # greatest magnitude of one value in quanta: far below 2^53, where float64 loses units
EXACT = 2**53  # quanta below are told apart by a float64


@dataclass(frozen=True, order=True)
class FixedPoint:
    """Numbers as whole multiples of a quantum, in int64.

    Where ``1 / quantum`` is a whole number, quanta are divided by it, not multiplied by the quantum: 12,345
    quanta of 0.01 are 123.45.

    Parameters
    ----------
    quantum
        Within `headrace.schemas.numbers.QUANTA`.

    Examples
    --------
    >>> cents = FixedPoint(0.01)
    >>> cents.to_quanta(np.array([0.1, 0.2, 123.454])).tolist()
    [10.0, 20.0, 12345.0]
    >>> cents.to_float(np.array([30.0, 12345.0])).tolist()
    [0.3, 123.45]
    >>> cents.fits(np.array([1e12, 1e13, np.nan])).tolist()
    [True, False, False]
    """

    quantum: float

    @property
    def text(self) -> str:
        """Persisted form: part of the names of sums in the changelog."""
        return f"FixedPoint(quantum={self.quantum!r})"

    @cached_property
    def _inverse(self) -> float | None:
        inverse = round(1 / self.quantum)
        return float(inverse) if inverse and abs(inverse * self.quantum - 1) < 1e-9 else None

    def to_quanta(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return values in quanta, rounded half to even; same shape, float64: their range is not checked."""
        numbers = values.astype(np.float64)
        inverse = self._inverse
        scaled = numbers * inverse if inverse is not None else numbers / self.quantum
        quanta: NDArray[np.float64] = np.rint(scaled)
        return quanta

    def quanta_of(self, column: Column) -> NDArray[np.int64]:
        """Return the quanta of a column whose values fit, shape (n,); 0 for nulls."""
        return self.to_quanta(np.where(column.valid, column.values, 0)).astype(np.int64)

    def to_float(self, quanta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values of quanta; same shape."""
        inverse = self._inverse
        return quanta / inverse if inverse is not None else quanta * self.quantum

    @property
    def ratio(self) -> tuple[int, int]:
        """The quantum as numerator and denominator."""
        return (1, int(self._inverse)) if self._inverse is not None else self.quantum.as_integer_ratio()

    def fits(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Tell which values can be held: finite, and below `LIMIT` quanta in magnitude; same shape."""
        if values.dtype == np.int64 and self.quantum == 1:
            fitting: NDArray[np.bool_] = (values < LIMIT) & (values > -LIMIT)
            return fitting
        with np.errstate(all="ignore"):
            quanta = self.to_quanta(values)
            return np.isfinite(quanta) & (np.abs(quanta) < LIMIT)
