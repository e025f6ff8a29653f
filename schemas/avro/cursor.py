"""Cursors: Avro's primitive encodings of many records, read together, each within its own bounds.

A record that cannot be read is *doubtful*: its position moves behind the last payload, where only zeros are,
so that the others continue at full speed. The reference decoder decides about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.avro.columns import Rows

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Mask = NDArray[np.bool_]

_PADDING = 64  # a gather may start up to 18 bytes past the last payload and read 8 from there
_CONTINUED = np.uint64(0x8080_8080_8080_8080)
_PAYLOAD = np.uint64(0x7F7F_7F7F_7F7F_7F7F)
_ONE = np.uint64(1)


@dataclass(frozen=True)
class Joined:
    """The payloads of a range in one array.

    Attributes
    ----------
    buffer
        uint8, shape (total + padding,): the payloads, one behind the other, then zeros.
    words
        uint64, shape (total + padding - 7,), a view: element i is the eight bytes from i, little-endian.
    starts, ends
        Where each payload begins, and the position behind it: int64, shape (n,).
    """

    buffer: Bytes
    words: Words
    starts: Rows
    ends: Rows


def join(payloads: Sequence[bytes | None]) -> Joined:
    """Join payloads; None is an empty one."""
    present = cast(Sequence[bytes], payloads) if all(payloads) else [payload or b"" for payload in payloads]
    ends = np.cumsum(np.fromiter(map(len, present), np.int64, len(present)))
    buffer = np.frombuffer(b"".join(present) + bytes(_PADDING), np.uint8)
    words = np.ndarray((buffer.size - 7,), np.dtype("<u8"), buffer, 0, (1,))
    return Joined(buffer, words, np.concatenate((np.zeros(1, np.int64), ends[:-1]))[: len(ends)], ends)


class Cursor:
    """Positions in `k` records, which advance together.

    Attributes
    ----------
    position, end
        The position in each record, and the position behind it: int64, shape (k,); `position <= end`.
    doubtful
        Records that are left to the reference decoder: bool, shape (k,).
    """

    def __init__(self, joined: Joined, position: Rows, end: Rows) -> None:
        self.joined, self.buffer, self.words = joined, joined.buffer, joined.words
        self.position, self.end = position.copy(), end.copy()
        self.doubtful: Mask = np.zeros(len(position), np.bool_)

    def __len__(self) -> int:
        return len(self.position)

    def fail(self, wrong: Mask) -> None:
        """Give up records: from here on, zeros are read of them."""
        self.doubtful |= wrong
        self.position[wrong] = self.end[wrong] = self.buffer.size - _PADDING

    def advance(self, size: int | Rows) -> None:
        """Advance by `size` bytes: at most 18, or as many as are known to be there."""
        self.position += size
        over = self.position > self.end
        if over.any():
            self.fail(over)

    def advance_checked(self, size: Rows) -> Rows:
        """Advance by declared sizes of any value. Return the sizes; zero where one does not fit."""
        room = self.end - self.position
        wrong = size.view(np.uint64) > room.view(np.uint64)  # a negative size is a huge one
        if wrong.any():
            self.fail(wrong)
            size = np.where(wrong, 0, size)
        self.position += size
        return size

    def take(self, rows: Rows) -> Cursor:
        """Return a cursor over some of the records."""
        return Cursor(self.joined, self.position[rows], self.end[rows])

    def put(self, rows: Rows, part: Cursor) -> None:
        """Take over the positions of a cursor that `take` returned."""
        self.position[rows], self.end[rows] = part.position, part.end
        self.doubtful[rows] |= part.doubtful


def read_byte(cursor: Cursor) -> Bytes:
    """Read the next byte of each record."""
    byte = cursor.buffer.take(cursor.position)
    cursor.advance(1)
    return byte


def read_words(cursor: Cursor, size: int) -> Words:
    """Read the next eight bytes of each record, and advance by `size` of them."""
    words: Words = cursor.words[cursor.position]
    cursor.advance(size)
    return words


def read_long(cursor: Cursor) -> NDArray[np.int64]:
    """Read zigzag varints of at most ten bytes and 64 bits."""
    first = cursor.buffer.take(cursor.position)
    if first.max(initial=0) < 0x80:
        cursor.advance(1)
        return ((first >> 1) ^ -(first & 1)).view(np.int8).astype(np.int64)
    rows = np.flatnonzero(first >= 0x80)
    if rows.size == len(first):
        value, size = _long_varints(cursor, rows)
    else:
        value, size = first.astype(np.uint64), np.ones(len(first), np.int64)
        value[rows], size[rows] = _long_varints(cursor, rows)
    cursor.advance(size)
    return ((value >> _ONE) ^ -(value & _ONE)).view(np.int64)


def _long_varints(cursor: Cursor, rows: Rows) -> tuple[Words, Rows]:
    """Read varints of several bytes from whole words, without a loop. Return values and sizes in bytes."""
    word = cursor.words[cursor.position[rows]]
    last = ~word & _CONTINUED  # the high bit of each byte that ends a varint
    own = last ^ (last - _ONE)  # all bits up to the first of those, or all 64
    value = _pack_sevens(word & own & _PAYLOAD)
    size = (np.bitwise_count(own) >> 3).astype(np.int64)
    longer = np.flatnonzero(last == 0)
    if longer.size:
        _last_two_bytes(cursor, rows, longer, value, size)
    return value, size


def _pack_sevens(value: Words) -> Words:
    """Close the gaps between eight groups of seven bits: pairs, then fours, then all."""
    value = (value & np.uint64(0x007F_007F_007F_007F)) | (value & np.uint64(0x7F00_7F00_7F00_7F00)) >> _ONE
    value = (value & np.uint64(0x0000_3FFF_0000_3FFF)) | (
        value & np.uint64(0x3FFF_0000_3FFF_0000)
    ) >> np.uint64(2)
    return (value & np.uint64(0x0FFF_FFFF)) | (value & np.uint64(0x0FFF_FFFF_0000_0000)) >> np.uint64(4)


def _last_two_bytes(cursor: Cursor, rows: Rows, longer: Rows, value: Words, size: Rows) -> None:
    """Add bytes nine and ten of the varints `longer` to `value` and `size`."""
    position = cursor.position[rows[longer]]
    ninth, tenth = (
        cursor.buffer[position + 8].astype(np.uint64),
        cursor.buffer[position + 9].astype(np.uint64),
    )
    ten = ninth >= 0x80
    value[longer] |= (ninth & np.uint64(0x7F)) << np.uint64(56)
    value[longer] |= np.where(ten, (tenth & _ONE) << np.uint64(63), np.uint64(0))
    size[longer] = 9 + ten
    wrong = np.zeros(len(cursor), np.bool_)
    wrong[rows[longer]] = ten & (tenth > 1)
    if wrong.any():
        cursor.fail(wrong)
