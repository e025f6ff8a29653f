"""Rows of varying length for the tiles of many keys, in few arrays: what sketches hold while they are small.

A row lies in the slab of the least width that holds it: 1, 2, 3, 4, 6, 8, 12, 16 and so on. What is given up
there is handed out again. A row so takes at most half more than its entries, and 6 bytes when it is empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.streams.columnar.growth import extend

Whole = NDArray[np.int64]
_AT_ONCE = 1 << 20  # entries


class RaggedRows:
    """One row for each place, empty at first.

    Parameters
    ----------
    dtype
        Of the entries.
    most
        The greatest length of a row, a power of two below 2^16.
    """

    def __init__(self, dtype: type, most: int) -> None:
        self.dtype, self.most = np.dtype(dtype), most
        self.size = np.zeros(0, np.uint16)  # entries of the row at each place
        self._at = np.zeros(0, np.int32)  # its number in its slab
        widths = sorted(
            {1, *(n << bits for bits in range(most.bit_length()) for n in (2, 3) if n << bits <= most)}
        )
        self._slabs = [_Slab(width, self.dtype) for width in widths]
        self._slab_of = np.searchsorted(widths, np.arange(most + 1)).astype(np.int8)
        self._slab_of[0] = -1

    def reserve(self, places: int) -> None:
        """Grow to so many places."""
        extend(self.size, places)
        extend(self._at, places)

    def gather(self, places: Whole) -> tuple[Whole, NDArray[Any]]:
        """Lengths of the rows, shape (n,), and their entries, one row behind the other."""
        size = self.size[places].astype(np.int64)
        starts = np.cumsum(size) - size
        entries = np.empty(size.sum(), self.dtype)
        for slab, rows in self._by_slab(size):
            length = size[rows]
            first = self._at[places[rows]].astype(np.int64) * slab.width
            entries[spans(starts[rows], length)] = slab.cells[spans(first, length)]
        return size, entries

    def replace(self, places: Whole, size: Whole, entries: NDArray[Any]) -> None:
        """Put other rows there, all places being different; arguments as `gather` returns them."""
        before = self._slab_of[self.size[places]]
        moving = before != self._slab_of[size]
        for number, slab in enumerate(self._slabs):
            slab.give(self._at[places[moving & (before == number)]])
        self.size[places] = size
        starts = np.cumsum(size) - size
        for slab, rows in self._by_slab(size):
            fresh = places[rows[moving[rows]]]
            self._at[fresh] = slab.take(len(fresh))
            length = size[rows]
            first = self._at[places[rows]].astype(np.int64) * slab.width
            slab.cells[spans(first, length)] = entries[spans(starts[rows], length)]

    def clear(self, places: Whole) -> None:
        """Empty rows; a place may come twice."""
        held = np.unique(places[self.size[places] > 0])
        if len(held):
            self.replace(held, np.zeros(len(held), np.int64), np.zeros(0, self.dtype))

    def longest(self, places: Whole) -> tuple[NDArray[Any], Whole]:
        """Of rows that are as long as can be: the cells they lie in, and where each begins. Cells may be
        changed in place."""
        slab = self._slabs[-1]
        return slab.cells, self._at[places].astype(np.int64) * slab.width

    def portions(self, places: Whole) -> list[slice]:
        """Of places of shape (n, depth): portions of the n whose rows have about a million entries."""
        load = np.cumsum(self.size[places].sum(axis=1, dtype=np.int64)) // _AT_ONCE
        cuts = [0, *(np.flatnonzero(np.diff(load)) + 1).tolist(), len(places)]
        return [slice(*ends) for ends in pairwise(cuts)]

    @property
    def nbytes(self) -> int:
        """Memory that is held."""
        return self.size.nbytes + self._at.nbytes + sum(slab.cells.nbytes for slab in self._slabs)

    def pack(self, places: Whole, counts: Whole) -> list[bytes]:
        """Return rows as n byte strings: the lengths, then the entries.

        Parameters
        ----------
        places
            One string after the other.
        counts
            Of how many places each string is, shape (n,).
        """
        size, entries = self.gather(places)
        ends = np.cumsum(counts)
        bounds = _bounds(size, ends) * self.dtype.itemsize
        raw, lengths = entries.tobytes(), size.astype("<u2").tobytes()
        heads = [0, *(2 * ends).tolist()]
        return [
            lengths[head[0] : head[1]] + raw[body[0] : body[1]]
            for head, body in zip(pairwise(heads), pairwise(bounds.tolist()), strict=True)
        ]

    def unpack(self, places: Whole, counts: Whole, raw: NDArray[np.uint8], starts: Whole) -> Whole:
        """Take up n strings that `pack` wrote, which are at `starts` in some bytes; returns where each ends.

        Raises
        ------
        ValueError
            When the bytes are none of `pack`'s.
        """
        heads = starts + 2 * counts
        if (heads > len(raw)).any():
            raise ValueError("a row ends before its lengths do")
        size = raw[spans(starts, 2 * counts)].view("<u2").astype(np.int64)
        lengths = np.diff(_bounds(size, np.cumsum(counts))) * self.dtype.itemsize
        if (heads + lengths > len(raw)).any() or size.max(initial=0) > self.most:
            raise ValueError("a row ends before its entries do")
        self.replace(places, size, raw[spans(heads, lengths)].view(self.dtype))
        return np.asarray(heads + lengths)

    def _by_slab(self, size: Whole) -> Iterator[tuple[_Slab, Whole]]:
        numbers = self._slab_of[size]
        for number in np.flatnonzero(np.bincount(numbers[numbers >= 0], minlength=1)).tolist():
            yield self._slabs[number], np.flatnonzero(numbers == number)


class _Slab:
    """Rows of one width, one behind the other, and a stack of those that are free."""

    def __init__(self, width: int, dtype: np.dtype[Any]) -> None:
        self.width = width
        self.cells = np.zeros(0, dtype)
        self._free = np.zeros(0, np.int32)

    def take(self, count: int) -> NDArray[np.int32]:
        """Numbers of rows that nobody has."""
        short = count - len(self._free)
        if short > 0:
            have = len(self.cells) // self.width
            more = max(short, have // 4, 16)
            extend(self.cells, (have + more) * self.width)
            self._free = np.concatenate(
                [np.arange(have + more - 1, have - 1, -1, dtype=np.int32), self._free]
            )
        taken = self._free[len(self._free) - count :][::-1]
        self._free = self._free[: len(self._free) - count]
        return taken

    def give(self, rows: NDArray[np.int32]) -> None:
        if not len(rows):
            return
        self._free = np.concatenate([self._free, rows])
        if len(self._free) * self.width == len(self.cells):
            self.cells, self._free = self.cells[:0].copy(), self._free[:0]


def spans(starts: Whole, lengths: Whole) -> Whole:
    """The numbers ``start, start + 1, ...``, so many from each, one behind the other."""
    before = np.cumsum(lengths) - lengths
    found: Whole = np.repeat(starts - before, lengths)
    found += np.arange(len(found))
    return found


def _bounds(size: Whole, ends: Whole) -> Whole:
    """Return where entries begin and end, of groups of rows that end there: shape (n + 1,)."""
    return np.concatenate(([0], np.cumsum(size)))[np.concatenate(([0], ends))]
