r"""Values of join keys, encoded as they stand in the keys of Redis hashes.

>>> from headrace.schemas.feature_specs import FieldSpec
>>> encode_join_key(FieldSpec(name="carrier", dtype="String"), ["UA", "B6"])
[b'\x02\x00\x00\x00\x02\x00\x00\x00UA', b'\x02\x00\x00\x00\x02\x00\x00\x00B6']
>>> encode_join_key(FieldSpec(name="user", dtype="Int32"), [7, "8"])
Traceback (most recent call last):
headrace.schemas.errors.HeadraceError: join key 'user' takes 32-bit integers; row 1 has '8'
"""

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

# Type, length and value, little-endian.
_NUMBERS = {
    "Int32": struct.Struct("<IIi"),
    "Int64": struct.Struct("<IIq"),
    "UnixTimestamp": struct.Struct("<IIq"),
}
_TYPE_AND_LENGTH = struct.Struct("<II")
_EXPECTED = {
    "String": "text",
    "Int32": "32-bit integers",
    "Int64": "64-bit integers",
    "UnixTimestamp": "datetimes, or whole seconds since 1970",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


def encode_join_key(key: FieldSpec, values: Sequence[Any]) -> list[bytes]:
    """Encode one join key of each row: type, length and value.

    Parameters
    ----------
    key
        Name and type of the join key.
    values
        Text, bytes or integers, as the type has it; times as whole seconds since 1970, or as datetimes, which
        are rounded down to seconds and taken for UTC where they have no zone.

    Raises
    ------
    HeadraceError
        When a value is of another type; names the first such row.
    """
    try:
        return _encode(key, values)
    except (AttributeError, TypeError, struct.error) as error:
        expected, misfit = _EXPECTED.get(key.dtype, "bytes"), _first_misfit(key, values)
        raise HeadraceError(f"join key '{key.name}' takes {expected}; {misfit}") from error


def _encode(key: FieldSpec, values: Sequence[Any]) -> list[bytes]:
    type_number = layout.FIELD_NUMBERS[key.dtype]
    number = _NUMBERS.get(key.dtype)
    if number is None:
        pack = _TYPE_AND_LENGTH.pack
        if key.dtype == "String":
            texts = [value.encode() for value in values]
        else:
            texts = [b"" + value for value in values]  # refuses everything but bytes
        return [pack(type_number, len(text)) + text for text in texts]
    if key.dtype == "UnixTimestamp":
        values = [_epoch_seconds(value) for value in values]
    length = number.size - _TYPE_AND_LENGTH.size
    return [number.pack(type_number, length, value) for value in values]


def _epoch_seconds(value: Any) -> Any:
    """Round a datetime down to epoch seconds; leave every other value as it is."""
    if not isinstance(value, datetime):
        return value
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _SECOND


def _first_misfit(key: FieldSpec, values: Sequence[Any]) -> str:
    types: dict[str, Any] = {"String": str, "Int32": (), "Int64": (), "UnixTimestamp": datetime}
    bound = 2**31 if key.dtype == "Int32" else 2**63
    for row, value in enumerate(values):
        is_number = key.dtype in _NUMBERS and _is_within(value, bound)
        if not (is_number or isinstance(value, types.get(key.dtype, bytes))):
            return f"row {row} has {value!r}"
    return "one row has another value"


def _is_within(value: Any, bound: int) -> bool:
    try:
        return -bound <= index(value) < bound
    except TypeError:
        return False
