"""Columns of parsed JSON values; a value that does not fit a column is doubtful."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.avro.columns import MAX_STRING, Column, from_objects
from headrace.schemas.avro.cursor import Cursor, join
from headrace.schemas.avro.text import gather_text
from headrace.schemas.json_events.fields import BITS, EPOCH, JsonField

Mask = NDArray[np.bool_]
_Read = Callable[[JsonField, list[Any], Mask], Column]


def _nulls(values: list[Any], zero: Any) -> Mask:
    """Return which values are not null, and overwrite nulls with `zero`."""
    valid = np.ones(len(values), np.bool_)
    if None in values:
        nulls = [row for row, value in enumerate(values) if value is None]
        valid[nulls] = False
        for row in nulls:
            values[row] = zero
    return valid


def _booleans(field: JsonField, values: list[Any], doubtful: Mask) -> Column:
    valid = _nulls(values, False)
    return Column(np.fromiter(values, np.bool_, len(values)), valid)


def _integers(field: JsonField, values: list[Any], doubtful: Mask) -> Column:
    valid = _nulls(values, 0)
    if field.unit is not None:
        values = [v if type(v) is int else (v - EPOCH) // field.unit for v in values]
    least, most = -(1 << BITS[field.word]), (1 << BITS[field.word]) - 1
    try:
        numbers = np.fromiter(values, np.int64, len(values))
    except OverflowError:
        numbers = np.array([min(max(value, least - 1), most + 1) for value in values], object)
    wrong = (numbers < least) | (numbers > most)
    if wrong.any():
        doubtful |= wrong.astype(np.bool_)
        numbers = np.where(wrong, 0, numbers).astype(np.int64)
    return Column(numbers, valid)


def _floats(field: JsonField, values: list[Any], doubtful: Mask) -> Column:
    valid = _nulls(values, 0.0)
    numbers = np.fromiter(values, np.float64, len(values))
    if field.word == "float":
        with np.errstate(over="ignore"):
            numbers = numbers.astype(np.float32).astype(np.float64)
        doubtful |= np.isinf(numbers)
    return Column(numbers, valid)


def _texts(field: JsonField, values: list[Any], doubtful: Mask) -> Column:
    """Read texts. All values are joined with NUL between them, so that only the ends need to be searched."""
    valid = _nulls(values, "")
    joined = join([("\0".join(values) + "\0").encode()])
    ends = np.flatnonzero(joined.buffer[: joined.ends[0]] == 0)
    if len(ends) != len(values):
        return _texts_with_nul(values, valid, doubtful)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))[: len(ends)]
    cursor = Cursor(joined, starts, ends)
    text = gather_text(cursor, starts, ends - starts, utf8=False)
    np.logical_or(doubtful, cursor.doubtful, out=doubtful)
    return Column(text, valid)


def _texts_with_nul(values: Sequence[str], valid: Mask, doubtful: Mask) -> Column:
    raw = [value.encode() for value in values]
    unfitting = np.array([text.endswith(b"\0") or len(text) > MAX_STRING for text in raw], np.bool_)
    np.logical_or(doubtful, unfitting, out=doubtful)
    kept = [b"" if wrong else text for text, wrong in zip(raw, unfitting.tolist(), strict=True)]
    return Column(from_objects("string", kept).values, valid)


READERS: dict[str, _Read] = {
    "boolean": _booleans,
    "int": _integers,
    "long": _integers,
    "float": _floats,
    "double": _floats,
    "string": _texts,
    "enum": _texts,
}
