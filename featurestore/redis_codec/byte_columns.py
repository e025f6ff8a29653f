"""Columns of byte strings in numpy, and how they are joined into one buffer without a loop over rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ragged:
    """`n` byte strings of different lengths.

    Attributes
    ----------
    cells
        uint8, shape (n, w) or (1, w) when all are equal; what lies beyond a string's length is ignored.
    lengths
        int64, shape (n,) or (1,), each at most w.
    """

    cells: NDArray[np.uint8]
    lengths: NDArray[np.int64]

    @classmethod
    def constant(cls, text: bytes) -> Ragged:
        """The same string for every row."""
        return cls(np.frombuffer(text, np.uint8)[None, :], np.array([len(text)]))

    @classmethod
    def fixed(cls, cells: NDArray[np.uint8]) -> Ragged:
        """Strings that all fill the width of their matrix."""
        return cls(cells, np.array([cells.shape[1]]))

    @classmethod
    def of_flat(cls, flat: NDArray[np.uint8], lengths: NDArray[np.int64]) -> Ragged:
        """From the bytes of all strings, one behind the other."""
        width = int(lengths.max(initial=0))
        if width * len(lengths) == len(flat):
            return cls(flat.reshape(len(lengths), width), lengths)
        cells = np.zeros((len(lengths), width), np.uint8)
        cells[np.arange(width) < lengths[:, None]] = flat
        return cls(cells, lengths)

    @classmethod
    def of_list(cls, strings: Sequence[bytes]) -> Ragged:
        lengths = np.fromiter(map(len, strings), np.int64, len(strings))
        return cls.of_flat(np.frombuffer(b"".join(strings), np.uint8), lengths)

    @classmethod
    def of_array(cls, strings: NDArray[np.bytes_]) -> Ragged:
        """From numpy's fixed-width bytes (dtype S), which cannot hold trailing zero bytes."""
        cells = np.ascontiguousarray(strings).view(np.uint8).reshape(len(strings), strings.dtype.itemsize)
        used = cells != 0
        last = used.shape[1] - np.argmax(used[:, ::-1], axis=1)
        return cls(cells, np.where(used.any(axis=1), last, 0))

    def where(self, valid: NDArray[np.bool_]) -> Ragged:
        """The same strings, empty where `valid` is False."""
        return Ragged(self.cells, np.where(valid, self.lengths, 0))


@dataclass(frozen=True)
class Padded:
    """Rows of bytes with gaps: `cells` (uint8) and `used` (bool), both of shape (n, w)."""

    cells: NDArray[np.uint8]
    used: NDArray[np.bool_]

    @classmethod
    def of(cls, columns: Sequence[Ragged], rows: int) -> Padded:
        """Columns next to each other, with a gap after each string that is shorter than its column."""
        width = sum(column.cells.shape[1] for column in columns)
        cells = np.empty((rows, width), np.uint8)
        used = np.ones((rows, width), np.bool_)
        at = 0
        for column in columns:
            end = at + column.cells.shape[1]
            cells[:, at:end] = column.cells
            if column.lengths.min(initial=end - at) < end - at:
                used[:, at:end] = np.arange(end - at) < column.lengths[:, None]
            at = end
        return cls(cells, used)

    def wrapped(self, rows: int) -> Padded:
        """The same bytes in fewer rows: consecutive ones are put next to each other."""
        return Padded(self.cells.reshape(rows, -1), self.used.reshape(rows, -1))

    @staticmethod
    def beside(blocks: Sequence[Padded]) -> Padded:
        return Padded(np.hstack([b.cells for b in blocks]), np.hstack([b.used for b in blocks]))

    def tobytes(self) -> bytes:
        """All rows without their gaps, one after the other."""
        return self.cells[self.used].tobytes()


def join(columns: Sequence[Ragged], rows: int) -> bytes:
    """All columns of row 0, then of row 1, and so on, as one buffer."""
    return Padded.of(columns, rows).tobytes()


def cut(columns: Sequence[Ragged], rows: int) -> list[bytes]:
    """As `join`, each row by itself."""
    lengths = sum((column.lengths for column in columns), np.zeros(rows, np.int64))
    ends: list[int] = np.concatenate(([0], np.cumsum(lengths))).tolist()
    joined = join(columns, rows)
    return [joined[start:end] for start, end in pairwise(ends)]
