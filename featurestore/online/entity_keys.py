"""Join keys of a request, as they stand in the keys of Redis hashes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from operator import index
from typing import TYPE_CHECKING, Any

from headrace.featurestore.redis_codec import layout
from headrace.schemas.errors import HeadraceError

if TYPE_CHECKING:
    from headrace.schemas.feature_specs import FieldSpec

_NUMBER_KEYS = {
    "Int32": struct.Struct("<IIi"),
    "Int64": struct.Struct("<IIq"),
    "UnixTimestamp": struct.Struct("<IIq"),
}
_EXPECTED = {
    "String": "text",
    "Int32": "32-bit integers",
    "Int64": "64-bit integers",
    "UnixTimestamp": "datetimes, or whole seconds since 1970",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


def encoded_keys(key: FieldSpec, values: Sequence[Any]) -> list[bytes]:
    """Type, length and value of a join key, for each row.

    Raises
    ------
    HeadraceError
        When a value is of another type.
    """
    try:
        kind = layout.FIELD_NUMBERS[key.dtype]
        if (number := _NUMBER_KEYS.get(key.dtype)) is None:
            pack = struct.Struct("<II").pack
            if key.dtype == "String":
                texts = [value.encode() for value in values]
            else:
                texts = [b"" + value for value in values]  # which nothing but bytes can be
            return [pack(kind, len(text)) + text for text in texts]
        size = number.size - 8
        if key.dtype == "UnixTimestamp":
            values = [_seconds(value) for value in values]
        return [number.pack(kind, size, value) for value in values]
    except (AttributeError, TypeError, struct.error) as error:
        expected = _EXPECTED.get(key.dtype, "bytes")
        raise HeadraceError(f"join key '{key.name}' takes {expected}; {_first_bad(key, values)}") from error


def _seconds(value: Any) -> Any:
    """Of a datetime, rounded down; one without a zone is UTC."""
    if not isinstance(value, datetime):
        return value
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _SECOND


def _first_bad(key: FieldSpec, values: Sequence[Any]) -> str:
    kinds: dict[str, Any] = {"String": str, "Int32": (), "Int64": (), "UnixTimestamp": datetime}
    bound = 2**31 if key.dtype == "Int32" else 2**63
    for row, value in enumerate(values):
        if not (
            isinstance(value, kinds.get(key.dtype, bytes))
            or (key.dtype in _NUMBER_KEYS and _fits(value, bound))
        ):
            return f"row {row} has {value!r}"
    return "one row has another value"


def _fits(value: Any, bound: int) -> bool:
    try:
        return -bound <= index(value) < bound
    except TypeError:
        return False
