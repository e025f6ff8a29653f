"""Fixed-point numbers: sums that are exact and do not depend on order or batching."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

LIMIT = 2**47  # greatest magnitude of one value in quanta: 65,536 of them fit an int64 sum


@dataclass(frozen=True)
class FixedPoint:
    """Whole multiples of `quantum`, held as int64.

    Where ``1 / quantum`` is a whole number, values are divided by it rather than multiplied by the quantum,
    so that 12,345 quanta of 0.01 read as 123.45.
    """

    quantum: float

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

    def to_float(self, quanta: NDArray[np.int64]) -> NDArray[np.float64]:
        """Quanta as float64; shape kept."""
        inverse = self._inverse
        numbers = quanta.astype(np.float64)
        return numbers / inverse if inverse is not None else numbers * self.quantum

    def fits(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Which values can be held: finite, and below `LIMIT` quanta in magnitude."""
        if values.dtype == np.int64 and self.quantum == 1:
            fitting: NDArray[np.bool_] = (values < LIMIT) & (values > -LIMIT)
            return fitting
        with np.errstate(all="ignore"):
            quanta = self.to_quanta(values)
            return np.isfinite(quanta) & (np.abs(quanta) < LIMIT)
