"""Columns of lists: the values of a list feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Lists:
    """A column of `n` lists, whose values lie one behind the other.

    Attributes
    ----------
    values
        Shape (m,): numbers, bools or bytes (dtype S), or a list of `m` bytes.
    lengths
        int64, shape (n,); their sum is m.

    Examples
    --------
    >>> lists = Lists(np.array([1, 2, 3]), np.array([2, 0, 1]))
    >>> lists.tolist()
    [[1, 2], [], [3]]
    >>> lists[1:].tolist(), Lists.concatenate([lists, lists[:1]]).lengths.tolist()
    ([[], [3]], [2, 0, 1, 2])
    """

    values: NDArray[Any] | Sequence[bytes]
    lengths: NDArray[np.int64]

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Start of each list, and the end of the last one: int64, shape (n + 1,)."""
        return np.concatenate(([0], np.cumsum(self.lengths)))

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: slice) -> Lists:
        """Return consecutive lists, without a copy of their values."""
        first, last, _ = rows.indices(len(self))
        return Lists(self.values[self.ends[first] : self.ends[max(first, last)]], self.lengths[first:last])

    def take(self, rows: NDArray[np.int64]) -> Lists:
        """The lists at some positions, in the order of the positions.

        >>> Lists(np.array([1, 2, 3]), np.array([2, 0, 1])).take(np.array([2, 0, 2])).tolist()
        [[3], [1, 2], [3]]
        """
        lengths = self.lengths[rows]
        begins = np.cumsum(lengths) - lengths  # of each list among those that are taken
        cells = np.repeat(self.ends[rows] - begins, lengths) + np.arange(lengths.sum())
        if isinstance(self.values, np.ndarray):
            return Lists(self.values[cells], lengths)
        return Lists([self.values[cell] for cell in cells], lengths)

    def tolist(self) -> list[list[Any]]:
        """Return the lists as lists of Python."""
        values = self.values.tolist() if isinstance(self.values, np.ndarray) else self.values
        ends: list[int] = self.ends.tolist()
        return [list(values[a:b]) for a, b in pairwise(ends)]

    @classmethod
    def concatenate(cls, columns: Sequence[Lists]) -> Lists:
        """Join columns of numpy values, in order."""
        values = np.concatenate([np.asarray(column.values) for column in columns])
        return cls(values, np.concatenate([column.lengths for column in columns]))
