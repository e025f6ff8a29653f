"""Decode maps, structs, lists in lists and zoned times, to the values that `feast/type_map.py` gives."""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID

from headrace.featurestore.redis_codec import layout
from headrace.featurestore.redis_codec.protobuf import message_fields

_Reader = Callable[[bytes], Any]
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{2}):?(\d{2})")
_log = logging.getLogger(__name__)


def instant(seconds: int) -> datetime | None:
    """The UTC time of epoch seconds; None for Feast's missing time."""
    return None if seconds == layout.NULL_SECONDS else datetime.fromtimestamp(seconds, UTC)


def message_readers(read_value: Callable[[bytes], Any]) -> dict[str, _Reader]:
    """Functions that decode the message of a composite value, by outer type.

    Parameters
    ----------
    read_value
        Decodes a `ValueProto` of at least one byte.
    """

    def value(raw: bytes) -> Any:
        return read_value(raw) if raw else None

    def pairs(message: bytes, read_key: _Reader) -> dict[Any, Any]:
        entries = (dict(message_fields(entry)) for entry in _repeated(message))
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


def _repeated(message: bytes) -> list[bytes]:
    return [content for number, content in message_fields(message) if number == 1]


def _map_key(message: bytes) -> Any:
    for number, content in message_fields(message):
        return _MAP_KEYS[number](content)
    return None


def _zoned(message: bytes) -> datetime | None:
    fields = dict(message_fields(message))
    seconds = fields.get(1, 0)
    if seconds == layout.NULL_SECONDS:
        return None
    return datetime.fromtimestamp(seconds, _zone(fields.get(2, b"").decode()))


def _zone(name: str) -> tzinfo:
    """A zone of the IANA database or an offset, by its name; UTC, as in Feast, for every other name."""
    if not name:
        return UTC
    from zoneinfo import ZoneInfo  # few have such times, and its import takes a while

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        offset = _OFFSET.fullmatch(name.strip())
    if offset is None:
        if name.strip() not in ("UTC", "GMT"):
            _log.warning("the zone %r of a stored time is unknown here; it is read as UTC", name)
        return UTC
    sign, hours, minutes = offset.groups()
    ahead = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-ahead if sign == "-" else ahead)


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
