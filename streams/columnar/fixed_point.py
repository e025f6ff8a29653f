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
QUANTA = (1e-100, 1e100)  # the least and the greatest quantum: its square, and that of any sum, is a float64


@dataclass(frozen=True, order=True)
class FixedPoint:
    """Whole multiples of `quantum`, held as int64.

    Where ``1 / quantum`` is a whole number, values are divided by it rather than multiplied by the quantum,
    so that 12,345 quanta of 0.01 read as 123.45.
    """

    quantum: float

    @property
    def text(self) -> str:
        """Persisted form, in what names sums in the changelog."""
        return f"FixedPoint(quantum={self.quantum!r})"

    @cached_property
    def _inverse(self) -> float | None:
        inverse = round(1 / self.quantum)
        return float(inverse) if inverse and abs(inverse * self.quantum - 1) < 1e-9 else None

    def to_quanta(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Values in quanta, rounded half to even; shape kept, still float64 so that range can be checked."""
        numbers = values.astype(np.float64)
        inverse = self._inverse
        scaled = numbers * inverse if inverse is not None else numbers / self.quantum
        quanta: NDArray[np.float64] = np.rint(scaled)
        return quanta

    def quanta_of(self, column: Column) -> NDArray[np.int64]:
        """A column that fits in quanta, shape (n,), 0 for nulls."""
        return self.to_quanta(np.where(column.valid, column.values, 0)).astype(np.int64)

    def to_float(self, quanta: NDArray[np.float64]) -> NDArray[np.float64]:
        """The value of so many quanta; shape kept."""
        inverse = self._inverse
        return quanta / inverse if inverse is not None else quanta * self.quantum

    @property
    def ratio(self) -> tuple[int, int]:
        """The quantum as a fraction."""
        return (1, int(self._inverse)) if self._inverse is not None else self.quantum.as_integer_ratio()

    def fits(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Which values can be held: finite, and below `LIMIT` quanta in magnitude."""
        if values.dtype == np.int64 and self.quantum == 1:
            fitting: NDArray[np.bool_] = (values < LIMIT) & (values > -LIMIT)
            return fitting
        with np.errstate(all="ignore"):
            quanta = self.to_quanta(values)
            return np.isfinite(quanta) & (np.abs(quanta) < LIMIT)
