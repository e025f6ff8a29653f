"""Rows of varying length for the tiles of many keys, in few arrays: for sketches that are mostly small.

A row lies in the slab of the least width that holds it: 1, 2, 3, 4, 6, 8, 12, 16 and so on. Room that a row
gives up is handed out again. So a row takes at most half more than its entries, and 6 bytes when it is empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.streams.columnar.growth import extend

Integers = NDArray[np.int64]
_PORTION_ENTRIES = 1 << 20


class RaggedRows:
    """A row of entries at each place, empty at first.

    Parameters
    ----------
    dtype
        Numpy type of the entries.
    most
        Greatest length of a row, a power of two below 2^16.

    Attributes
    ----------
    lengths
        Length of the row at each place, uint16.

    Examples
    --------
    >>> rows = RaggedRows(np.uint32, most=16)
    >>> rows.reserve(3)
    >>> rows.replace(np.array([0, 2]), np.array([2, 1]), np.array([7, 8, 9], np.uint32))
    >>> [array.tolist() for array in rows.gather(np.array([2, 1, 0]))]
    [[1, 0, 2], [9, 7, 8]]
    """

    def __init__(self, dtype: type, most: int) -> None:
        self.dtype, self.most = np.dtype(dtype), most
        self.lengths = np.zeros(0, np.uint16)
        self._numbers = np.zeros(0, np.int32)  # of the row at each place, in its slab
        widths = sorted(
            {1, *(n << bits for bits in range(most.bit_length()) for n in (2, 3) if n << bits <= most)}
        )
        self._slabs = [_Slab(width, self.dtype) for width in widths]
        self._slab_of = np.searchsorted(widths, np.arange(most + 1)).astype(np.int8)
        self._slab_of[0] = -1

    def reserve(self, places: int) -> None:
        """Grow to so many places."""
        extend(self.lengths, places)
        extend(self._numbers, places)

    def gather(self, places: Integers) -> tuple[Integers, NDArray[Any]]:
        """Return the lengths of rows, shape (n,), and their entries, one row behind the other."""
        lengths = self.lengths[places].astype(np.int64)
        starts = np.cumsum(lengths) - lengths
        entries = np.empty(lengths.sum(), self.dtype)
        for slab, rows in self._by_slab(lengths):
            length = lengths[rows]
            first = self._numbers[places[rows]].astype(np.int64) * slab.width
            entries[spans(starts[rows], length)] = slab.cells[spans(first, length)]
        return lengths, entries

    def replace(self, places: Integers, lengths: Integers, entries: NDArray[Any]) -> None:
        """Replace the rows at places.

        Parameters
        ----------
        places
            Shape (n,), each place once.
        lengths, entries
            As `gather` returns them.
        """
        before = self._slab_of[self.lengths[places]]
        moving = before != self._slab_of[lengths]
        for number, slab in enumerate(self._slabs):
            slab.free(self._numbers[places[moving & (before == number)]])
        self.lengths[places] = lengths
        starts = np.cumsum(lengths) - lengths
        for slab, rows in self._by_slab(lengths):
            moved = places[rows[moving[rows]]]
            self._numbers[moved] = slab.allocate(len(moved))
            length = lengths[rows]
            first = self._numbers[places[rows]].astype(np.int64) * slab.width
            slab.cells[spans(first, length)] = entries[spans(starts[rows], length)]

    def clear(self, places: Integers) -> None:
        """Empty the rows at places; a place may occur twice."""
        filled = np.unique(places[self.lengths[places] > 0])
        if len(filled):
            self.replace(filled, np.zeros(len(filled), np.int64), np.zeros(0, self.dtype))

    def full_rows(self, places: Integers) -> tuple[NDArray[Any], Integers]:
        """Return the cells that hold rows of the greatest length, and where in them each row begins.

        The cells are the rows themselves: a change of them changes the rows.
        """
        slab = self._slabs[-1]
        return slab.cells, self._numbers[places].astype(np.int64) * slab.width

    def portions(self, places: Integers) -> list[slice]:
        """Divide places of shape (n, depth) along n, into portions of about a million entries."""
        load = np.cumsum(self.lengths[places].sum(axis=1, dtype=np.int64)) // _PORTION_ENTRIES
        bounds = [0, *(np.flatnonzero(np.diff(load)) + 1).tolist(), len(places)]
        return [slice(*ends) for ends in pairwise(bounds)]

    @property
    def nbytes(self) -> int:
        """Bytes of memory in use."""
        return self.lengths.nbytes + self._numbers.nbytes + sum(slab.cells.nbytes for slab in self._slabs)

    def pack(self, places: Integers, counts: Integers) -> list[bytes]:
        """Encode rows as n byte strings: lengths (``<u2``), then entries.

        Parameters
        ----------
        places
            Those of one string after the other.
        counts
            How many places each string has, shape (n,).
        """
        lengths, entries = self.gather(places)
        ends = np.cumsum(counts)
        bounds = _bounds(lengths, ends) * self.dtype.itemsize
        raw, heads = entries.tobytes(), lengths.astype("<u2").tobytes()
        head_bounds = [0, *(2 * ends).tolist()]
        return [
            heads[head[0] : head[1]] + raw[body[0] : body[1]]
            for head, body in zip(pairwise(head_bounds), pairwise(bounds.tolist()), strict=True)
        ]

    def unpack(
        self, places: Integers, counts: Integers, raw: NDArray[np.uint8], starts: Integers
    ) -> Integers:
        """Decode rows that `pack` has encoded, and put them at places.

        Parameters
        ----------
        places, counts
            As `pack` takes them; each place once.
        raw
            Bytes that have the n byte strings in them.
        starts
            Where each of them begins, shape (n,).

        Returns
        -------
        NDArray
            Where each of them ends, shape (n,).

        Raises
        ------
        ValueError
            When the bytes cannot be rows.
        """
        heads = starts + 2 * counts
        if (heads > len(raw)).any():
            raise ValueError("a row ends before its lengths do")
        lengths = raw[spans(starts, 2 * counts)].view("<u2").astype(np.int64)
        size = np.diff(_bounds(lengths, np.cumsum(counts))) * self.dtype.itemsize
        if (heads + size > len(raw)).any() or lengths.max(initial=0) > self.most:
            raise ValueError("a row ends before its entries do")
        self.replace(places, lengths, raw[spans(heads, size)].view(self.dtype))
        return np.asarray(heads + size)

    def _by_slab(self, lengths: Integers) -> Iterator[tuple[_Slab, Integers]]:
        """Each slab that is needed, with the indices of those lengths it is for."""
        numbers = self._slab_of[lengths]
        for number in np.flatnonzero(np.bincount(numbers[numbers >= 0], minlength=1)).tolist():
            yield self._slabs[number], np.flatnonzero(numbers == number)


class _Slab:
    """Rows of one width, one behind the other, and a stack of those that are free."""

    def __init__(self, width: int, dtype: np.dtype[Any]) -> None:
        self.width = width
        self.cells = np.zeros(0, dtype)
        self._free = np.zeros(0, np.int32)

    def allocate(self, count: int) -> NDArray[np.int32]:
        """Return the numbers of rows that were free."""
        short = count - len(self._free)
        if short > 0:
            have = len(self.cells) // self.width
            more = max(short, have // 4, 16)
            extend(self.cells, (have + more) * self.width)
            self._free = np.concatenate(
                [np.arange(have + more - 1, have - 1, -1, dtype=np.int32), self._free]
            )
        allocated = self._free[len(self._free) - count :][::-1]
        self._free = self._free[: len(self._free) - count]
        return allocated

    def free(self, rows: NDArray[np.int32]) -> None:
        """Take rows back; when none is in use, the memory goes."""
        if not len(rows):
            return
        self._free = np.concatenate([self._free, rows])
        if len(self._free) * self.width == len(self.cells):
            self.cells, self._free = self.cells[:0].copy(), self._free[:0]


def spans(starts: Integers, lengths: Integers) -> Integers:
    """Return the whole numbers of many spans, one span behind the other.

    Examples
    --------
    >>> spans(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist()
    [5, 6, 9, 10, 11]
    """
    before = np.cumsum(lengths) - lengths
    numbers: Integers = np.repeat(starts - before, lengths)
    numbers += np.arange(len(numbers))
    return numbers


def _bounds(lengths: Integers, ends: Integers) -> Integers:
    """Return where the entries of groups of rows begin and end, shape (n + 1,)."""
    return np.concatenate(([0], np.cumsum(lengths)))[np.concatenate(([0], ends))]
