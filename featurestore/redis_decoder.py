"""Values of Feast's Redis layout to Python, by a table over the first byte."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from featurestore import redis_layout as layout
from schemas.errors import HeadraceError

_NULL_TIME = -(2**63)  # what Feast writes for a missing UnixTimestamp
_UNREADABLE = (KeyError, IndexError, ValueError, OverflowError, OSError, struct.error)
_double = struct.Struct("<xd").unpack
_float = struct.Struct("<xf").unpack
_provenance = layout.PROVENANCE.unpack


class Provenance(NamedTuple):
    """The log prefix a row follows from: ``[0, offset)`` of a partition (or shard), as of `as_of_ms`."""

    partition: int
    offset: int
    as_of_ms: int


def decode_values(column: Sequence[bytes | None]) -> list[Any]:
    """Python values of `ValueProto` bytes; None where a value is missing or null.

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
    return Provenance._make(_provenance(raw)) if raw else None


def decode_time_ms(raw: bytes) -> int:
    """Epoch milliseconds of a protobuf `Timestamp`, rounded down."""
    seconds = nanos = at = 0
    while at < len(raw):
        field = raw[at]
        value, at = _varint(raw, at + 1)
        if field == 0x08:
            seconds = value
        else:
            nanos = value
    return seconds * 1000 + nanos // 1_000_000


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """A signed 64-bit varint, and the position after it."""
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value - (1 << 64) if value >> 63 else value), at
        shift += 7


def _integer(raw: bytes) -> int:
    return raw[1] if len(raw) == 2 else _varint(raw, 1)[0]


def _text(raw: bytes) -> str:
    return raw[_varint(raw, 1)[1] :].decode()


def _time(raw: bytes) -> datetime | None:
    seconds = _integer(raw)
    return None if seconds == _NULL_TIME else datetime.fromtimestamp(seconds, UTC)


_DECODERS: dict[int, Callable[[bytes], Any]] = {
    layout.value_tag("String"): _text,
    layout.value_tag("Int32"): _integer,
    layout.value_tag("Int64"): _integer,
    layout.value_tag("Float64"): lambda raw: _double(raw)[0],
    layout.value_tag("Float32"): lambda raw: _float(raw)[0],
    layout.value_tag("Bool"): lambda raw: raw[1] == 1,
    layout.value_tag("UnixTimestamp"): _time,
}


def _is_readable(raw: bytes) -> bool:
    try:
        _DECODERS[raw[0]](raw)
    except _UNREADABLE:
        return False
    return True
