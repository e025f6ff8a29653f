"""What accumulators share whose tiles hold rows of varying length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.streams.aggregations.accumulator import Accumulator, Held, Indices
from headrace.streams.columnar.ragged_rows import RaggedRows


class RaggedAccumulator(Accumulator):
    """A row for every tile, one set of rows for each of the k.

    Parameters
    ----------
    held, dtype
        As of any accumulator.
    entry
        Numpy type of the entries of rows.
    most
        The greatest length of a row.
    """

    def __init__(self, held: Sequence[Held], dtype: type, entry: type, most: int) -> None:
        super().__init__(held, dtype)
        self.rows = [RaggedRows(entry, most) for _ in held]
        self._depth = 0

    def reserve(self, slots: int, depth: int) -> None:
        self._depth = depth
        for rows in self.rows:
            rows.reserve(slots * depth)

    def reset(self, places: Indices) -> None:
        for rows in self.rows:
            rows.clear(places)

    def _places(self, slots: Indices) -> Indices:
        """Places of all tiles of n slots, shape (n, depth)."""
        places: Indices = slots[:, None] * self._depth + np.arange(self._depth)
        return places

    def arrays(self, number: int) -> list[NDArray[Any]]:
        return []

    def ragged(self, number: int) -> RaggedRows:
        return self.rows[number]
