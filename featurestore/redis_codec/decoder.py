r"""Decode values of Feast's Redis layout, by a table over their first byte.

One row of three features, a float, a text and a null:

>>> decode_values([b")\x00\x00\x00\x00\x00\x00)@", b"\x12\x02UA", b""])
[12.5, 'UA', None]
>>> decode_provenance(bytes.fromhex("01000000 2a00000000000000 00ca9a3b00000000"))
Provenance(partition=1, offset=42, as_of_ms=1000000000)
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, cast
from uuid import UUID

from headrace.featurestore.redis_codec import layout
from headrace.featurestore.redis_codec.nested_decoder import instant, message_readers
from headrace.featurestore.redis_codec.protobuf import decode_timestamp_ms, decode_varint
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_types import ValueType, element_type
from headrace.schemas.json_nesting import parse_json

_UNREADABLE = (LookupError, ValueError, ArithmeticError, TypeError, AttributeError, OSError, struct.error)
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999  # of the years 1 to 9999, as datetimes have
_FEW_BYTES = 1000  # up to this many, packed whole numbers are read one by one
_double = struct.Struct("<xd").unpack
_float = struct.Struct("<xf").unpack
_ELEMENT_TAG = layout.ELEMENT_TAG
_prefix = layout.PREFIX.unpack_from


class Provenance(NamedTuple):
    """The log prefix that a row follows from.

    Attributes
    ----------
    partition
        Of the event topic, or the shard of a view that is shuffled.
    offset
        The row follows from the records ``[0, offset)``.
    as_of_ms
        Event time of the row, epoch milliseconds: that of its windows.
    """

    partition: int
    offset: int
    as_of_ms: int


def decode_values(column: Sequence[bytes | None]) -> list[Any]:
    """Decode `ValueProto` bytes; None where a value is missing or null.

    Raises
    ------
    HeadraceError
        When a value is of a type that Headrace does not read.
    """
    try:
        return [_DECODERS[raw[0]](raw) if raw else None for raw in column]
    except _UNREADABLE as error:
        bad = next(raw for raw in column if raw and not _is_readable(raw))
        raise HeadraceError(
            f"a stored feature value cannot be read ({bad[:12]!r}); it was not written by Headrace or is "
            "of a type Headrace does not serve"
        ) from error


def decode_provenance(raw: bytes | None) -> Provenance | None:
    """Decode the provenance of a row; None where it is missing.

    Raises
    ------
    HeadraceError
        When the bytes are none.
    """
    try:
        return Provenance._make(_prefix(raw)) if raw else None
    except struct.error as error:
        raise _damaged("provenance", raw) from error


def decode_event_time(raw: bytes) -> int:
    """Decode the event time of a row, epoch milliseconds, rounded down.

    Raises
    ------
    HeadraceError
        When the bytes are none, or of no year from 1 to 9999.

    Examples
    --------
    >>> decode_event_time(b"\\x08\\x02\\x10\\x80\\xca\\xb5\\xee\\x01")
    2500
    """
    try:
        time_ms = decode_timestamp_ms(raw)
    except _UNREADABLE as error:
        raise _damaged("event time", raw) from error
    if not _FIRST_MS <= time_ms <= _LAST_MS:
        raise _damaged("event time", raw)
    return time_ms


def _damaged(what: str, raw: bytes | None) -> HeadraceError:
    return HeadraceError(
        f"the stored {what} of a row cannot be read ({(raw or b'')[:12]!r}); it was not written by Headrace. "
        "Materialise, push or rebuild the row, and see who may write to Redis"
    )


def _integer(raw: bytes) -> int:
    return raw[1] if len(raw) == 2 else decode_varint(raw, 1)[0]


def _text(raw: bytes) -> str:
    return raw[decode_varint(raw, 1)[1] :].decode()


def _time(raw: bytes) -> datetime | None:
    return instant(_integer(raw))


_Reader = Callable[[bytes], Any]


def _body(raw: bytes, start: int) -> bytes:
    """The bytes behind their length at `start`, which reach to the end.

    Raises
    ------
    ValueError
        When they are more or fewer than the length says.
    """
    length, body = decode_varint(raw, start)
    if len(raw) - body != length:
        raise ValueError(f"{length} bytes are declared and {len(raw) - body} are there")
    return raw[body:]


def _json(raw: bytes) -> Any:
    """Parse JSON; return the text itself where it is none, as Feast does."""
    text = raw.decode()
    try:
        return parse_json(text)
    except ValueError:
        return text


def _numbers(typecode: str) -> _Reader:
    """Read packed numbers of fixed size, of a type code of `array`."""

    def read(packed: bytes) -> list[Any]:
        numbers = array(typecode, packed)
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers.tolist()

    return read


def _integers(packed: bytes) -> list[int]:
    if packed.isascii():  # each in one byte
        return list(packed)
    if len(packed) > _FEW_BYTES:
        return _many_integers(packed)
    integers, value, shift = [], 0, 0
    for byte in packed:
        if byte < 0x80:
            integers.append(value | byte << shift)
            value = shift = 0
        else:
            value |= (byte & 0x7F) << shift
            shift += 7
    if shift:
        raise ValueError("a whole number is cut off")
    return integers if max(integers) < 1 << 63 else [value - (value >> 63 << 64) for value in integers]


def _many_integers(packed: bytes) -> list[int]:
    import numpy as np  # a third of the time the client takes to import, and few read long lists

    cells = np.frombuffer(packed, np.uint8)
    ends = np.flatnonzero(cells < 0x80) + 1
    starts = np.concatenate(([0], ends[:-1]))
    if ends[-1] != len(cells) or (ends - starts).max() > 10:
        raise ValueError("a whole number is cut off")
    shifts = 7 * (np.arange(len(cells)) - np.repeat(starts, ends - starts)).astype(np.uint64)
    groups = (cells & np.uint8(0x7F)).astype(np.uint64) << shifts
    numbers: list[int] = np.bitwise_or.reduceat(groups, starts).view(np.int64).tolist()
    return numbers


def _instants(packed: bytes) -> list[datetime | None]:
    return [instant(seconds) for seconds in _integers(packed)]


def _packed(read: _Reader) -> _Reader:
    """Read numbers in one piece behind their tag; an empty list has no tag."""

    def read_message(message: bytes) -> Any:
        if message[:1] not in (b"", _ELEMENT_TAG):
            raise ValueError("not a list of Feast")
        return read(_body(message, 1) if message else b"")

    return read_message


def _each(read: _Reader) -> _Reader:
    """Read texts one by one, each behind the tag and its length."""

    def read_message(message: bytes) -> Any:
        texts, position = [], 0
        while position < len(message):
            length, start = decode_varint(message, position + 1)
            is_element = message[position : position + 1] == _ELEMENT_TAG
            if not is_element or length < 0 or start + length > len(message):
                raise ValueError("not a list of Feast")
            position = start + length
            texts.append(read(message[start:position]))
        return texts

    return read_message


_TEXTS: dict[ValueType, _Reader] = {
    "Bytes": bytes,
    "String": bytes.decode,
    "Json": _json,
    "Uuid": lambda raw: UUID(raw.decode()),
    "TimeUuid": lambda raw: UUID(raw.decode()),
    "Decimal": lambda raw: Decimal(raw.decode()),
}
_PACKED: dict[layout.Wire, _Reader] = {
    "double": _numbers("d"),
    "float": _numbers("f"),
    "bool": lambda packed: [byte == 1 for byte in packed],
    "integer": _integers,
    "seconds": _instants,
}


def _value(raw: bytes) -> Any:
    return _DECODERS[raw[0]](raw)


_MESSAGES = message_readers(_value)


def _message_reader(dtype: ValueType) -> _Reader:
    """The function that decodes the bytes behind tag and length of a type."""
    if dtype in _MESSAGES:
        return _MESSAGES[dtype]
    element = element_type(dtype)
    if element is None:
        return _TEXTS[dtype]
    wire = layout.wire_of(dtype)
    read = _each(_TEXTS[element]) if wire == "text" else _packed(_PACKED[wire])
    return read if dtype.startswith("Array") else lambda message: set(read(message))


def _behind_tag(dtype: ValueType) -> _Reader:
    """The function that decodes a whole `ValueProto` with a value of a type."""
    read, start = _message_reader(dtype), len(layout.value_tag(dtype))
    return lambda raw: read(_body(raw, start))


_LONG_TAGS: dict[bytes, _Reader] = {}  # those of two bytes
_DECODERS: dict[int, _Reader] = {
    layout.value_tag("String")[0]: _text,
    layout.value_tag("Int32")[0]: _integer,
    layout.value_tag("Int64")[0]: _integer,
    layout.value_tag("Float64")[0]: lambda raw: _double(raw)[0],
    layout.value_tag("Float32")[0]: lambda raw: _float(raw)[0],
    layout.value_tag("Bool")[0]: lambda raw: raw[1] == 1,
    layout.value_tag("UnixTimestamp")[0]: _time,
}
for _outer_type in layout.FIELD_NUMBERS:
    _dtype = cast("ValueType", _outer_type)
    _tag = layout.value_tag(_dtype)
    if len(_tag) == 2:
        _LONG_TAGS[_tag] = _behind_tag(_dtype)
        _DECODERS[_tag[0]] = lambda raw: _LONG_TAGS[raw[:2]](raw)
    elif _tag[0] not in _DECODERS:
        _DECODERS[_tag[0]] = _behind_tag(_dtype)


def _is_readable(raw: bytes) -> bool:
    try:
        _value(raw)
    except _UNREADABLE:
        return False
    return True
