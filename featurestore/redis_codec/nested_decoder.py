"""Messages of maps, structs, lists in lists and zoned times to Python, as `feast/type_map.py` has them."""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID

from headrace.featurestore.redis_codec import layout

_Reader = Callable[[bytes], Any]
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{2}):?(\d{2})")
_FIXED_BYTES = {1: 8, 5: 4}  # of protobuf's wire types
_log = logging.getLogger(__name__)


def varint(raw: bytes, at: int) -> tuple[int, int]:
    """A signed 64-bit varint, and the position after it."""
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value - (1 << 64) if value >> 63 else value), at
        shift += 7


def instant(seconds: int) -> datetime | None:
    return None if seconds == layout.NULL_SECONDS else datetime.fromtimestamp(seconds, UTC)


def message_readers(read_value: Callable[[bytes], Any]) -> dict[str, _Reader]:
    """The reader of the message of each composite type, by outer type.

    Parameters
    ----------
    read_value
        Reads the bytes of a `ValueProto`, of which there is at least one.
    """

    def value(raw: bytes) -> Any:
        return read_value(raw) if raw else None

    def pairs(message: bytes, read_key: _Reader) -> dict[Any, Any]:
        entries = (dict(_fields(entry)) for entry in _repeated(message))
        return {read_key(entry.get(1, b"")): value(entry.get(2, b"")) for entry in entries}

    def mapping(message: bytes) -> dict[str, Any]:
        return pairs(message, bytes.decode)

    def mappings(message: bytes) -> list[dict[str, Any]]:
        return [mapping(each) for each in _repeated(message)]

    def values(message: bytes) -> list[Any]:
        return [value(each) for each in _repeated(message)]

    return {
        "Map": mapping,
        "Struct": mapping,
        "Array(Map)": mappings,
        "Array(Struct)": mappings,
        "Array(Array)": values,
        "Set(Array)": values,
        "ScalarMap": lambda message: pairs(message, _map_key),
        "ZonedTimestamp": _zoned,
    }


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers and contents of a message's fields: bytes, or a whole number of a varint."""
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        if tag & 7 == 0:
            content, end = varint(message, at)
            yield tag >> 3, content
        else:
            size, at = (_FIXED_BYTES[tag & 7], at) if tag & 7 != 2 else varint(message, at)
            end = at + size
            if size < 0 or end > len(message):
                raise ValueError("a message is cut off")
            yield tag >> 3, message[at:end]
        at = end


def _repeated(message: bytes) -> list[bytes]:
    return [content for number, content in _fields(message) if number == 1]


def _map_key(message: bytes) -> Any:
    for number, content in _fields(message):
        return _MAP_KEYS[number](content)
    return None


def _zoned(message: bytes) -> datetime | None:
    found = dict(_fields(message))
    seconds = found.get(1, 0)
    if seconds == layout.NULL_SECONDS:
        return None
    return datetime.fromtimestamp(seconds, _zone(found.get(2, b"").decode()))


def _zone(name: str) -> tzinfo:
    """Of the IANA database, else an offset; what is neither is read as UTC, as Feast does."""
    if not name:
        return UTC
    from zoneinfo import ZoneInfo  # few have such times, and its import takes a while

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        found = _OFFSET.fullmatch(name.strip())
    if found is None:
        if name.strip() not in ("UTC", "GMT"):
            _log.warning("the zone %r of a stored time is unknown here; it is read as UTC", name)
        return UTC
    sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if sign == "-" else offset)


_MAP_KEYS: dict[int, Callable[[Any], Any]] = {
    1: int,
    2: int,
    3: lambda raw: struct.unpack("<f", raw)[0],
    4: lambda raw: struct.unpack("<d", raw)[0],
    5: bool,
    6: instant,
    7: lambda raw: raw[:],
    8: lambda raw: UUID(raw.decode()),
    9: lambda raw: UUID(raw.decode()),
    10: lambda raw: Decimal(raw.decode()),
}
