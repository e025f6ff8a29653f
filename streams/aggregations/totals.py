"""Totals: exact sums of whole numbers, any number of them in a tile.

A whole number is split into limbs of 32 bits, summed each for itself in int64, so that 2^31 of them cannot
overflow, whatever their size. Integer sums do not depend on order.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.avro import Column
from headrace.streams.aggregations.accumulator import Accumulator, AccumulatorSpec, Indices, grow, tiles_of
from headrace.streams.columnar.batch import Batch

LIMB_BITS = 32
LIMB_MASK = (1 << LIMB_BITS) - 1


class Term(Protocol):
    """The addend of each row: a whole number of `limbs` limbs, the lowest first."""

    @property
    def limbs(self) -> int:
        """Number of limbs."""

    def of(self, column: Column) -> NDArray[np.int64]:
        """Return the limbs of each row, shape (limbs, n); 0 for nulls."""


@dataclass(frozen=True)
class Counted:
    """A term of a total: 1 for each value that is not null."""

    code: ClassVar[str] = "Counted"
    limbs = 1

    @property
    def text(self) -> str:
        return "Counted()"

    def of(self, column: Column) -> NDArray[np.int64]:
        return column.valid.astype(np.int64)[None]


COUNTED = Counted()


class Totals(Accumulator):
    """Sums of terms, in one array with a column for each limb of each term."""

    code = "Totals"

    def __init__(self, specs: Sequence[AccumulatorSpec], dtype: type) -> None:
        super().__init__(specs, dtype)
        self._bounds = [0, *np.cumsum([spec.parameter.limbs for spec in specs]).tolist()]
        self.total = np.zeros((0, 0, self._bounds[-1]), np.int64)

    @staticmethod
    def shared_by(spec: AccumulatorSpec, dtype: type) -> Hashable:
        return None

    def reserve(self, slots: int, depth: int) -> None:
        self.total = grow(self.total, slots, depth, 0)

    def reset(self, places: Indices) -> None:
        tiles_of(self.total)[places] = 0

    def add(self, places: Indices, starts: Indices, batch: Batch) -> None:
        terms = np.concatenate([batch.term(spec.name, spec.column, spec.parameter.of) for spec in self.specs])
        tiles_of(self.total)[places] += np.add.reduceat(terms, starts, axis=1).T

    def read(self, slots: Indices, inside: NDArray[np.bool_]) -> Sequence[NDArray[Any]]:
        """Return limbs, (n, windows, limbs), the lowest first; (n, windows) for terms of one limb."""
        total = np.matmul(inside.astype(np.int64), self.total[slots])
        return [total[:, :, a] if b == a + 1 else total[:, :, a:b] for a, b in pairwise(self._bounds)]

    def magnitudes(self, number: int, slots: Indices) -> NDArray[np.float64]:
        """Return the sum of the magnitudes of the tiles of one of the k, shape (n,), to about 15 digits."""
        limbs = self.total[slots, :, slice(*self._bounds[number : number + 2])]
        tiles = limbs @ np.array([2.0 ** (LIMB_BITS * n) for n in range(limbs.shape[2])])
        magnitudes: NDArray[np.float64] = np.abs(tiles).sum(axis=1)
        return magnitudes

    def arrays(self, number: int) -> list[NDArray[Any]]:
        return [self.total[:, :, limb] for limb in range(*self._bounds[number : number + 2])]


def carried(limbs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Carry: return the same numbers, shape (n, limbs), with all limbs but the highest in [0, 2^32).

    Examples
    --------
    >>> carried(np.array([[-1, 0], [2**33 + 5, 1]])).tolist()
    [[4294967295, -1], [5, 3]]
    """
    limbs = limbs.copy()
    for low in range(limbs.shape[1] - 1):
        limbs[:, low + 1] += limbs[:, low] >> LIMB_BITS
        limbs[:, low] &= LIMB_MASK
    return limbs
