r"""Columns of byte strings in numpy, joined into one buffer without a loop over rows.

>>> names = ByteColumn.of_list([b"UA", b"AA", b"B6"])
>>> join_rows([names, ByteColumn.constant(b"=1\n")], rows=3)
b'UA=1\nAA=1\nB6=1\n'
>>> split_rows([ByteColumn.constant(b"key:"), ByteColumn.of_list([b"a", b"", b"long"])], rows=3)
[b'key:a', b'key:', b'key:long']
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ByteColumn:
    """`n` byte strings of different lengths.

    Attributes
    ----------
    cells
        uint8, shape (n, w) or (1, w) when all are equal; bytes beyond the length of a string are ignored.
    lengths
        int64, shape (n,) or (1,), each at most w.
    """

    cells: NDArray[np.uint8]
    lengths: NDArray[np.int64]

    @classmethod
    def constant(cls, text: bytes) -> ByteColumn:
        """Repeat one string for every row."""
        return cls(np.frombuffer(text, np.uint8)[None, :], np.array([len(text)]))

    @classmethod
    def fixed(cls, cells: NDArray[np.uint8]) -> ByteColumn:
        """Take strings that all fill the width of their matrix."""
        return cls(cells, np.array([cells.shape[1]]))

    @classmethod
    def of_flat(cls, flat: NDArray[np.uint8], lengths: NDArray[np.int64]) -> ByteColumn:
        """Split the bytes of all strings, which stand one after the other."""
        width = int(lengths.max(initial=0))
        if width * len(lengths) == len(flat):
            return cls(flat.reshape(len(lengths), width), lengths)
        cells = np.zeros((len(lengths), width), np.uint8)
        cells[np.arange(width) < lengths[:, None]] = flat
        return cls(cells, lengths)

    @classmethod
    def of_list(cls, strings: Sequence[bytes]) -> ByteColumn:
        lengths = np.fromiter(map(len, strings), np.int64, len(strings))
        return cls.of_flat(np.frombuffer(b"".join(strings), np.uint8), lengths)

    @classmethod
    def of_array(cls, strings: NDArray[np.bytes_]) -> ByteColumn:
        """Take numpy's fixed-width bytes (dtype S), which cannot hold trailing zero bytes."""
        cells = np.ascontiguousarray(strings).view(np.uint8).reshape(len(strings), strings.dtype.itemsize)
        used = cells != 0
        last = used.shape[1] - np.argmax(used[:, ::-1], axis=1)
        return cls(cells, np.where(used.any(axis=1), last, 0))

    def where(self, valid: NDArray[np.bool_]) -> ByteColumn:
        """Empty the strings where `valid` is False."""
        return ByteColumn(self.cells, np.where(valid, self.lengths, 0))


@dataclass(frozen=True)
class PaddedRows:
    """Rows of bytes with gaps: `cells` (uint8) and `used` (bool), both of shape (n, w)."""

    cells: NDArray[np.uint8]
    used: NDArray[np.bool_]

    @classmethod
    def of(cls, columns: Sequence[ByteColumn], rows: int) -> PaddedRows:
        """Place columns side by side, with a gap after each string that is shorter than its column."""
        width = sum(column.cells.shape[1] for column in columns)
        cells = np.empty((rows, width), np.uint8)
        used = np.ones((rows, width), np.bool_)
        start = 0
        for column in columns:
            end = start + column.cells.shape[1]
            cells[:, start:end] = column.cells
            if column.lengths.min(initial=end - start) < end - start:
                used[:, start:end] = np.arange(end - start) < column.lengths[:, None]
            start = end
        return cls(cells, used)

    def wrapped(self, rows: int) -> PaddedRows:
        """Place consecutive rows side by side, so that there are fewer of them."""
        return PaddedRows(self.cells.reshape(rows, -1), self.used.reshape(rows, -1))

    @staticmethod
    def beside(blocks: Sequence[PaddedRows]) -> PaddedRows:
        """Place blocks of equally many rows side by side."""
        return PaddedRows(np.hstack([b.cells for b in blocks]), np.hstack([b.used for b in blocks]))

    def tobytes(self) -> bytes:
        """Join all rows, without their gaps."""
        return self.cells[self.used].tobytes()


def join_rows(columns: Sequence[ByteColumn], rows: int) -> bytes:
    """Join all columns of row 0, then of row 1, and so on, into one buffer."""
    return PaddedRows.of(columns, rows).tobytes()


def split_rows(columns: Sequence[ByteColumn], rows: int) -> list[bytes]:
    """Join all columns of each row into a string of its own."""
    lengths = sum((column.lengths for column in columns), np.zeros(rows, np.int64))
    ends: list[int] = np.concatenate(([0], np.cumsum(lengths))).tolist()
    joined = join_rows(columns, rows)
    return [joined[start:end] for start, end in pairwise(ends)]
