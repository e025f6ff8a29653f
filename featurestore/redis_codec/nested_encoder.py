"""Encode maps, structs, lists in lists and zoned times as messages of Feast's `ValueProto`, value by value.

Inside of a message Feast writes a value by its Python type, not by the declared one (`feast/type_map.py`): a
whole number as an int64, a list as a list of the type of its first element. The entries of a map stand in the
order of their keys; Feast's stand in another order in every process.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np

from headrace.featurestore.redis_codec import layout
from headrace.featurestore.redis_codec.protobuf import behind_length, encode_varint
from headrace.featurestore.redis_codec.row_encoder import list_bodies
from headrace.schemas.feature_types import ValueType, outer_type
from headrace.streams.columnar.lists import Lists


def encode_message(dtype: ValueType, value: Any) -> bytes:
    """Encode the message of a composite value, which stands behind its tag and its length.

    Parameters
    ----------
    dtype
        A composite type; see `headrace.schemas.feature_types.is_composite`.
    value
        A dict for a map or a struct, a sequence of dicts or of sequences, a datetime. Sequences of numbers of
        another width than Python's are numpy arrays; sequences of times always are, of datetime64.

    Raises
    ------
    ValueError
        When Feast has no way to write the value; names the part at fault.
    """
    return _MESSAGES[outer_type(dtype)](value)


def _map(value: Mapping[str, Any]) -> bytes:
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is no map")
    if wrong := [key for key in value if not isinstance(key, str)]:
        raise ValueError(f"the key {wrong[0]!r} of a map is no text")
    entries = sorted((key.encode(), _in_map(each)) for key, each in value.items())
    return b"".join(_element(_pair(behind_length(key), each)) for key, each in entries)


def _maps(values: Sequence[Any]) -> bytes:
    if not _is_list(values):
        raise ValueError(f"{values!r} is no list of maps")
    return b"".join(_element(_map(each)) for each in values)


def _in_map(value: Any) -> bytes:
    """Encode a value of a map; Feast takes every dict in a map for a map."""
    return _tagged("Map", _map(value)) if isinstance(value, Mapping) else _value(value)


def _scalar_map(value: Mapping[Any, Any]) -> bytes:
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is no map")
    entries = ((behind_length(_map_key(key)), _value(each)) for key, each in value.items())
    return b"".join(_element(_pair(key, each)) for key, each in entries)


def _pair(key: bytes, value: bytes) -> bytes:
    return b"\x0a" + key + b"\x12" + behind_length(value)


def _map_key(key: Any) -> bytes:
    for kind, write in _MAP_KEYS:
        if isinstance(key, kind):
            return write(key)
    raise ValueError(
        f"the key {key!r} of a ScalarMap is no number, boolean, bytes, time, decimal or UUID; a Map has texts"
    )


def _lists(values: Sequence[Any]) -> bytes:
    """Encode lists; an empty inner list is a null, as Feast writes it."""
    if not _is_list(values):
        raise ValueError(f"{values!r} is no list")
    return b"".join(_element(_inner(each)) for each in values)


def _inner(values: Sequence[Any] | None) -> bytes:
    if values is None:
        return b""
    if not _is_list(values):
        raise ValueError(f"{values!r} is no list in a list")
    if _has_lists(values):
        return _tagged("Array(Array)", _lists(values))
    return _list(values) if len(values) else b""


def _zoned(value: datetime) -> bytes:
    if not isinstance(value, datetime):
        raise ValueError(f"{value!r} is no time")
    seconds, zone = _epoch_seconds(value), _zone_name(value)
    first = b"\x08" + encode_varint(seconds) if seconds else b""
    return first + (b"\x12" + behind_length(zone.encode()) if zone else b"")


def _zone_name(value: datetime) -> str:
    """The name of a zone in the IANA database, else of its offset, as Feast writes it."""
    if value.tzinfo is None:
        return ""
    return str(getattr(value.tzinfo, "key", None) or value.tzinfo)


def _value(value: Any) -> bytes:
    """Encode a whole `ValueProto`, of the type that Feast takes a Python value for."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return b""
    if isinstance(value, Mapping):
        texts = all(isinstance(key, str) for key in value)
        return _tagged("Map", _map(value)) if texts else _tagged("ScalarMap", _scalar_map(value))
    if _is_list(value):
        return _list(value)
    dtype = _type_of(value)
    return layout.value_tag(dtype) + _scalar(layout.wire_of(dtype), value)


def _list(values: Sequence[Any]) -> bytes:
    """Encode a list of single values, or of maps; an empty one without a type is one of texts."""
    if _has_lists(values):
        raise ValueError("a list in a list has no place in a map or a struct")
    if not isinstance(values, np.ndarray) and any(isinstance(each, Mapping) for each in values):
        return _tagged("Array(Map)", _maps(values))
    element = _element_of(values)
    dtype: Any = f"Array({element})"
    wire = layout.wire_of(dtype)
    numbers: Any = [_bytes(each) for each in values] if wire == "text" else values
    if wire == "seconds":
        numbers = np.asarray(values, "datetime64[ms]").astype(np.int64)
    if wire == "integer":
        numbers = [_within(each) for each in values] if isinstance(values, list | tuple) else values
    (body,) = list_bodies(wire, Lists(numbers, np.array([len(values)])))
    return layout.value_tag(dtype) + behind_length(body)


def _element_of(values: Sequence[Any]) -> str:
    if isinstance(values, np.ndarray):
        return "UnixTimestamp" if values.dtype.kind == "M" else _NUMPY_TYPES[values.dtype.name]
    kinds = {_type_of(each) for each in values} or {"String"}
    if len(kinds) > 1:
        raise ValueError(f"there are {' and '.join(sorted(kinds))} in one list")
    return kinds.pop()


def _type_of(value: Any) -> ValueType:
    """The type that Feast takes a single value for."""
    for kind, dtype in _PYTHON_TYPES:
        if isinstance(value, kind):
            return dtype
    raise ValueError(f"{value!r} has no place in a list or a map")


def _within(value: int) -> int:
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{value} is beyond 64 bits")
    return value


def _scalar(wire: layout.Wire, value: Any) -> bytes:
    if wire == "text":
        return behind_length(_bytes(value))
    if wire == "double":
        return struct.pack("<d", value)
    return encode_varint(_epoch_seconds(value) if wire == "seconds" else _within(value))


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _epoch_seconds(value: datetime) -> int:
    """Round a time towards zero, as Feast does here."""
    return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def _has_lists(values: Sequence[Any]) -> bool:
    return not isinstance(values, np.ndarray) and any(map(_is_list, values))


def _tagged(dtype: Any, body: bytes) -> bytes:
    return layout.value_tag(dtype) + behind_length(body)


def _element(body: bytes) -> bytes:
    """Encode one of the elements that a message repeats."""
    return layout.ELEMENT_TAG + behind_length(body)


_MESSAGES: dict[str, Callable[[Any], bytes]] = {
    "Map": _map,
    "Struct": _map,
    "Array(Map)": _maps,
    "Array(Struct)": _maps,
    "Array(Array)": _lists,
    "Set(Array)": _lists,
    "ScalarMap": _scalar_map,
    "ZonedTimestamp": _zoned,
}
# A boolean is a whole number to Python, and comes first.
_PYTHON_TYPES: tuple[tuple[type, ValueType], ...] = (
    (bool, "Bool"),
    (int, "Int64"),
    (float, "Float64"),
    (str, "String"),
    (bytes, "Bytes"),
    (datetime, "UnixTimestamp"),
    (Decimal, "Decimal"),
    (UUID, "Uuid"),
)
_NUMPY_TYPES = {
    "bool": "Bool",
    "int32": "Int32",
    "int64": "Int64",
    "float32": "Float32",
    "float64": "Float64",
}
# Feast's `MapKey`, by the tag of each field.
_MAP_KEYS: tuple[tuple[type, Callable[[Any], bytes]], ...] = (
    (bool, lambda key: b"\x28" + encode_varint(key)),
    (int, lambda key: b"\x10" + encode_varint(_within(key))),
    (float, lambda key: b"\x21" + struct.pack("<d", key)),
    (datetime, lambda key: b"\x30" + encode_varint(_epoch_seconds(key))),
    (bytes, lambda key: b"\x3a" + behind_length(key)),
    (UUID, lambda key: b"\x42" + behind_length(str(key).encode())),
    (Decimal, lambda key: b"\x52" + behind_length(str(key).encode())),
)
