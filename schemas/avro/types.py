"""Avro types over many records at once: `read` returns a column, `skip` only advances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.avro.columns import Column, Kind, Rows, blank, merge
from headrace.schemas.avro.cursor import Cursor, read_byte, read_long, read_words
from headrace.schemas.avro.text import gather_text

_EXACT = 1 << 53  # up to here, and up to this power of ten, a double is exact, and a division rounds once
_EXACT_SCALE = 22
MAX_ITEMS = 64  # of an array that is skipped in step with those of other records


class Reader(Protocol):
    """A type of a needed field."""

    def read(self, cursor: Cursor) -> Column:
        """Read the values at the cursor, shape (k,); a doubtful record has any value."""


class Skipper(Protocol):
    """A type of any field."""

    def skip(self, cursor: Cursor) -> None:
        """Check the value at the cursor, and advance."""


def _column(values: NDArray[Any]) -> Column:
    return Column(values, np.ones(len(values), np.bool_))


@dataclass(frozen=True)
class Null:
    """A null."""

    kind: Kind

    def read(self, cursor: Cursor) -> Column:
        return Column(blank(self.kind, len(cursor)), np.zeros(len(cursor), np.bool_))


class Boolean:
    """A boolean."""

    def read(self, cursor: Cursor) -> Column:
        byte = read_byte(cursor)
        wrong = byte > 1
        if wrong.any():
            cursor.fail(wrong)
        return _column(byte != 0)

    def skip(self, cursor: Cursor) -> None:
        self.read(cursor)


@dataclass(frozen=True)
class Integer:
    """An int or a long."""

    bits: int

    def read(self, cursor: Cursor) -> Column:
        value = read_long(cursor)
        if self.bits == 32:
            wrong = value != value.astype(np.int32)
            if wrong.any():
                cursor.fail(wrong)
        return _column(value)

    def skip(self, cursor: Cursor) -> None:
        self.read(cursor)


@dataclass(frozen=True)
class Floating:
    """A float or a double."""

    size: int

    def read(self, cursor: Cursor) -> Column:
        words = read_words(cursor, self.size)
        if self.size == 8:
            return _column(words.view("<f8"))
        with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN like any other
            return _column(words.astype("<u4").view("<f4").astype(np.float64))

    def skip(self, cursor: Cursor) -> None:
        cursor.advance(self.size)


@dataclass(frozen=True)
class Text:
    """Strings and bytes; `utf8` where the type of the reader or the writer is a string."""

    utf8: bool

    def read(self, cursor: Cursor) -> Column:
        declared = read_long(cursor)
        position = cursor.position.copy()
        return _column(gather_text(cursor, position, cursor.advance_checked(declared), self.utf8))

    def skip(self, cursor: Cursor) -> None:
        cursor.advance_checked(read_long(cursor))


@dataclass(frozen=True)
class Fixed:
    """A fixed, as bytes."""

    size: int

    def read(self, cursor: Cursor) -> Column:
        position = cursor.position.copy()
        size = cursor.advance_checked(np.full(len(cursor), self.size, np.int64))
        return _column(gather_text(cursor, position, size, utf8=False))

    def skip(self, cursor: Cursor) -> None:
        cursor.advance_checked(np.full(len(cursor), self.size, np.int64))


@dataclass(frozen=True)
class Decimal:
    """A decimal as the nearest double. `size` is the size of a fixed, None for bytes.

    A decimal of more than 8 bytes or 53 bits is doubtful: a division of doubles would not round it rightly.
    """

    size: int | None
    scale: int

    def read(self, cursor: Cursor) -> Column:
        declared = read_long(cursor) if self.size is None else np.full(len(cursor), self.size, np.int64)
        position = cursor.position.copy()
        length = cursor.advance_checked(declared)
        bits = np.uint64(8) * (np.uint64(8) - np.minimum(length, 8).astype(np.uint64))
        # Of no bytes at all, the shift by 64 is not defined; they are a zero.
        bits = np.where(length > 0, bits, 0)
        unscaled = np.where(
            length > 0, cursor.words[position].byteswap().view(np.int64) >> bits.view(np.int64), 0
        )
        cursor.doubtful |= (length > 8) | (np.abs(unscaled) > _EXACT) | (self.scale > _EXACT_SCALE)
        return _column(unscaled / 10.0 ** min(self.scale, _EXACT_SCALE))


class Enum:
    """An enum, with the reader's symbol for each of the writer's; None where there is none."""

    def __init__(self, symbols: Sequence[str | None]) -> None:
        self.symbols = np.array([(symbol or "").encode() for symbol in symbols] or [b""])
        self.known = np.array([symbol is not None for symbol in symbols], np.bool_)

    def _index(self, cursor: Cursor) -> NDArray[np.int64]:
        index = read_long(cursor)
        wrong = index.view(np.uint64) >= np.uint64(len(self.known))
        if wrong.any():
            cursor.fail(wrong)
            index = np.where(wrong, 0, index)
        return index

    def read(self, cursor: Cursor) -> Column:
        index = self._index(cursor)
        if not self.known.all():
            cursor.doubtful |= ~self.known[index]
        return _column(self.symbols[index])

    def skip(self, cursor: Cursor) -> None:
        self._index(cursor)


Scalar = Boolean | Integer | Floating | Text | Fixed | Enum


@dataclass(frozen=True)
class Unreadable:
    """A branch of a union that does not resolve to the reader schema: the record is doubtful."""

    kind: Kind
    branch: Skipper

    def read(self, cursor: Cursor) -> Column:
        cursor.doubtful[:] = True
        self.branch.skip(cursor)
        return Null(self.kind).read(cursor)


@dataclass(frozen=True)
class Union:
    """A union of a needed field."""

    kind: Kind
    branches: tuple[Reader, ...]

    def read(self, cursor: Cursor) -> Column:
        parts = []
        for number, rows in _branches(cursor, len(self.branches)):
            if rows is None:
                return self.branches[number].read(cursor)
            part = cursor.take(rows)
            parts.append((rows, self.branches[number].read(part)))
            cursor.put(rows, part)
        return merge(self.kind, len(cursor), parts)


@dataclass(frozen=True)
class SkippedUnion:
    """A union of a field that is skipped."""

    branches: tuple[Skipper, ...]

    def skip(self, cursor: Cursor) -> None:
        for number, rows in _branches(cursor, len(self.branches)):
            part = cursor if rows is None else cursor.take(rows)
            self.branches[number].skip(part)
            if rows is not None:
                cursor.put(rows, part)


@dataclass(frozen=True)
class SkippedRecord:
    """A nested record; null is one without fields."""

    fields: tuple[Skipper, ...]

    def skip(self, cursor: Cursor) -> None:
        for field in self.fields:
            field.skip(cursor)


@dataclass(frozen=True)
class SkippedItems:
    """An array or a map: the items of all records in step, first with first, second with second.

    Records with a block of many items, or with one that gives its size in bytes, are doubtful.
    """

    item: Skipper

    def skip(self, cursor: Cursor) -> None:
        rows, left = np.arange(len(cursor)), np.zeros(len(cursor), np.int64)
        for _ in range(MAX_ITEMS + 1):
            heads = rows[left[rows] == 0]
            left[heads] = _block(cursor, heads)
            rows = rows[left[rows] > 0]
            if not rows.size:
                return
            part = cursor.take(rows)
            self.item.skip(part)
            cursor.put(rows, part)
            left[rows] = np.where(part.doubtful, 0, left[rows] - 1)
        wrong = np.zeros(len(cursor), np.bool_)
        wrong[rows] = True
        cursor.fail(wrong)


def _block(cursor: Cursor, rows: Rows) -> NDArray[np.int64]:
    """Read the number of items at the beginning of each block; 0 behind the last."""
    part = cursor.take(rows)
    count = read_long(part)
    wrong = count.view(np.uint64) > np.uint64(MAX_ITEMS)
    if wrong.any():
        part.fail(wrong)
        count = np.where(wrong, 0, count)
    cursor.put(rows, part)
    return count


def _branches(cursor: Cursor, count: int) -> list[tuple[int, Rows | None]]:
    """Return the number of each branch of a union that occurs, with its records; None: all of them."""
    index = read_long(cursor)
    wrong = index.view(np.uint64) >= np.uint64(count)
    if wrong.any():
        cursor.fail(wrong)
    elif len(index) and (index == index[0]).all():
        return [(int(index[0]), None)]
    split = ((number, np.flatnonzero(index == number)) for number in range(count))
    return [(number, rows) for number, rows in split if rows.size]
