"""Join keys of a request, as they stand in the keys of Redis hashes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING, Any

from featurestore import redis_layout as layout
from schemas.errors import HeadraceError

if TYPE_CHECKING:
    from schemas.feature_specs import FieldSpec

_INTEGER_KEYS = {"Int32": struct.Struct("<IIi"), "Int64": struct.Struct("<IIq")}


def encoded_keys(key: FieldSpec, values: Sequence[Any]) -> list[bytes]:
    """Type, length and value of a join key, for each row.

    Raises
    ------
    HeadraceError
        When a value is of another type.
    """
    try:
        if key.dtype == "String":
            kind, pack = layout.FIELD_NUMBERS["String"], struct.Struct("<II").pack
            texts = [value.encode() for value in values]
            return [pack(kind, len(text)) + text for text in texts]
        number = _INTEGER_KEYS[key.dtype]
        kind, size = layout.FIELD_NUMBERS[key.dtype], number.size - 8
        return [number.pack(kind, size, value) for value in values]
    except (AttributeError, TypeError, struct.error) as error:
        expected = {"String": "text", "Int32": "32-bit integers", "Int64": "64-bit integers"}[key.dtype]
        raise HeadraceError(f"join key '{key.name}' takes {expected}; {_first_bad(key, values)}") from error


def _first_bad(key: FieldSpec, values: Sequence[Any]) -> str:
    bound = 2**31 if key.dtype == "Int32" else 2**63
    for row, value in enumerate(values):
        good = isinstance(value, str) if key.dtype == "String" else _fits(value, bound)
        if not good:
            return f"row {row} has {value!r}"
    return "one row has another value"


def _fits(value: Any, bound: int) -> bool:
    try:
        return -bound <= index(value) < bound
    except TypeError:
        return False
