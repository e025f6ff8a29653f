"""The base of accumulators whose tiles have rows of varying length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.streams.aggregations.accumulator import Accumulator, AccumulatorSpec, Indices
from headrace.streams.columnar.ragged_rows import RaggedRows


class RaggedAccumulator(Accumulator):
    """State in rows of varying length: a row for each tile, a set of rows for each of the k.

    Parameters
    ----------
    specs, dtype
        See `Accumulator`.
    entry
        Numpy type of the entries of rows.
    most
        Greatest length of a row, a power of two below 2^16.
    """

    def __init__(self, specs: Sequence[AccumulatorSpec], dtype: type, entry: type, most: int) -> None:
        super().__init__(specs, dtype)
        self.rows = [RaggedRows(entry, most) for _ in specs]
        self._depth = 0

    def reserve(self, slots: int, depth: int) -> None:
        self._depth = depth
        for rows in self.rows:
            rows.reserve(slots * depth)

    def reset(self, places: Indices) -> None:
        for rows in self.rows:
            rows.clear(places)

    def _places(self, slots: Indices) -> Indices:
        """Return the places of all tiles of n slots, shape (n, depth)."""
        places: Indices = slots[:, None] * self._depth + np.arange(self._depth)
        return places

    def arrays(self, number: int) -> list[NDArray[Any]]:
        return []

    def ragged(self, number: int) -> RaggedRows:
        return self.rows[number]
