"""Strings of many records as one column of dtype S, with work and memory in proportion to their bytes."""

from __future__ import annotations

import codecs
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.avro.columns import MAX_STRING, Rows
from headrace.schemas.avro.cursor import Cursor, Mask, Words

_HIGH = np.uint64(0x8080_8080_8080_8080)
_KEEP = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)  # element n keeps a word's first n bytes
_CHUNK = 4096  # rows whose UTF-8 is checked at once: bounds the memory one long string costs


def gather_text(cursor: Cursor, position: Rows, length: Rows, utf8: bool) -> NDArray[np.bytes_]:
    """Return the `length` bytes at `position` of each record, dtype S, shape (k,).

    A record becomes doubtful when its bytes do not fit a column: when they are longer than `MAX_STRING`, end
    in a NUL byte, or are invalid UTF-8 where `utf8`.
    """
    doubtful = (
        cursor.buffer.take(position + length - 1) == 0
    )  # of an empty string, that is the byte of its length
    doubtful &= length > 0
    if length.max(initial=0) > MAX_STRING:
        doubtful |= length > MAX_STRING
        length = np.where(length > MAX_STRING, 0, length)
    words, beyond_ascii = _gather_words(cursor, position, length)
    if utf8 and beyond_ascii.any():
        rows = np.flatnonzero(beyond_ascii)
        for first in range(0, len(rows), _CHUNK):
            chunk = rows[first : first + _CHUNK]
            doubtful[chunk[_invalid_utf8(words, chunk, int(length[chunk].max()))]] = True
    cursor.doubtful |= doubtful
    text: NDArray[Any] = words.view(f"S{8 * words.shape[1]}")[:, 0]
    return text


def _gather_words(cursor: Cursor, position: Rows, length: Rows) -> tuple[Words, Mask]:
    """Return words, (k, words of the longest), zero behind each string; and which have a byte over 127."""
    width = max(-(-int(length.max(initial=0)) // 8), 1)
    words = np.zeros((len(position), width), np.dtype("<u8"))
    beyond_ascii = np.zeros(len(position), np.bool_)
    for column in range(width):
        rows: Any = np.flatnonzero(length > 8 * column) if column else slice(None)
        left = np.minimum(length[rows] - 8 * column, 8)
        word = cursor.words[position[rows] + 8 * column] & _KEEP[left]
        words[rows, column] = word
        beyond_ascii[rows] |= (word & _HIGH) != 0
    return words, beyond_ascii


def _invalid_utf8(words: Words, rows: Rows, longest: int) -> list[int]:
    """Return the indices of those `rows` that have invalid UTF-8."""
    width = longest // 8 + 1  # with at least one NUL behind each string, so that no sequence spans two
    block = np.zeros((len(rows), width), np.dtype("<u8"))
    block[:, : words.shape[1]] = words[rows, :width]
    text, first, invalid = memoryview(block.tobytes()), 0, []
    while first < len(rows):
        try:
            codecs.utf_8_decode(text[8 * width * first :], "strict", True)
        except UnicodeDecodeError as error:
            first += error.start // (8 * width)
            invalid.append(first)
            first += 1
        else:
            break
    return invalid
