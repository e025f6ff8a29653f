"""Values of every type a feature may have: Feast's protobuf of them, and the columns Headrace takes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from feast import types as feast_types
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import python_values_to_proto_values
from hypothesis import strategies as st

from headrace.featurestore.redis_codec.nested_encoder import encode_message
from headrace.schemas.feature_types import (
    FLAT_TYPES,
    NestedType,
    ValueType,
    element_type,
    is_composite,
    outer_type,
)
from headrace.schemas.nested_types import TypeTree, parse_type
from headrace.streams.columnar.lists import Lists

NESTED = [
    "Array(Array(Int64))",
    "Array(Array(Array(String)))",
    "Array(Array(Map))",
    "Array(Set(Float64))",
    "Set(Array(String))",
    "Struct({name: String, sizes: Array(Int64)})",
    'Array(Struct({"a b": Struct({c: UnixTimestamp}), d: Map}))',
]
TYPES: tuple[ValueType, ...] = (*FLAT_TYPES, *map(NestedType, NESTED))
NO_TIME = -(2**63)  # Feast's missing time, in a list
INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
SECONDS = st.integers(-62_135_596_800, 253_402_300_799)  # years 1 to 9999
UUIDS = st.uuids().map(str)
# Name in Feast's protobuf, and values as they stand there.
_ELEMENTS: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "Int32": ("int32", INT32 | st.integers(-2, 200)),
    "Int64": ("int64", INT64 | st.integers(-2, 200)),
    "Float32": ("float", st.floats(width=32)),
    "Float64": ("double", st.floats()),
    "String": ("string", TEXT),
    "Bool": ("bool", st.booleans()),
    "UnixTimestamp": ("unix_timestamp", SECONDS),
    "Bytes": ("bytes", st.binary(max_size=300)),
    "PdfBytes": ("bytes", st.binary(max_size=20)),
    "ImageBytes": ("bytes", st.binary(max_size=20)),
    "Json": ("json", TEXT | st.dictionaries(TEXT, st.none() | INT64, max_size=3).map(json.dumps)),
    "Uuid": ("uuid", UUIDS),
    "TimeUuid": ("time_uuid", UUIDS),
    "Decimal": ("decimal", st.decimals(allow_nan=False).map(str)),
}


# Values of what is inside of maps, as Python has them. Feast cannot write an empty list or empty bytes there.
_MOMENTS = st.integers(-2_000_000_000, 4_000_000_000).map(lambda s: datetime.fromtimestamp(s, UTC))
_SINGLE = [
    INT64,
    st.floats(),
    st.booleans(),
    TEXT,
    st.binary(min_size=1, max_size=20),
    _MOMENTS,
    st.decimals(allow_nan=False),
    st.uuids(),
]
_LISTED = st.one_of([st.lists(each, min_size=1, max_size=4) for each in _SINGLE[:5]])
_MAPS = st.recursive(
    st.dictionaries(TEXT, st.none() | st.one_of(_SINGLE) | _LISTED, max_size=4),
    lambda maps: st.dictionaries(TEXT, maps | st.lists(maps, min_size=1, max_size=3), max_size=3),
    max_leaves=6,
)
_SCALAR_MAPS = st.dictionaries(
    st.one_of([INT64, st.floats(allow_nan=False), *_SINGLE[2:3], *_SINGLE[4:]]),
    st.none() | st.one_of(_SINGLE) | _LISTED | _MAPS.filter(bool),
    max_size=4,
)
_ZONES = st.sampled_from(
    [None, UTC, ZoneInfo("Asia/Tokyo"), ZoneInfo("UTC"), timezone(timedelta(hours=-7, minutes=-30))]
)
_INNER = st.none() | st.lists(INT64 | st.just(1), max_size=4) | _LISTED
_LISTS = st.lists(
    _INNER | st.lists(_MAPS, min_size=1, max_size=2) | st.lists(_INNER, max_size=3).filter(any), max_size=3
)
_MESSAGES = {
    "Map": _MAPS,
    "Struct": _MAPS,
    "Array(Map)": st.lists(_MAPS, max_size=3),
    "Array(Struct)": st.lists(_MAPS, max_size=3),
    "Array(Array)": _LISTS,
    "Set(Array)": _LISTS,
    "ScalarMap": _SCALAR_MAPS,
    "ZonedTimestamp": st.builds(
        lambda moment, zone: moment.replace(tzinfo=None) if zone is None else moment.astimezone(zone),
        _MOMENTS,
        _ZONES,
    ),
}


def feast_type(dtype: ValueType) -> Any:
    """Feast's object for a type."""
    return _feast_type(parse_type(dtype))


def _feast_type(tree: TypeTree) -> Any:
    if tree.name == "Struct":
        return feast_types.Struct({name: _feast_type(part) for name, part in tree.parts})
    kind = getattr(feast_types, tree.name)
    return kind(_feast_type(tree.element)) if tree.parts else kind


def values_of(dtype: ValueType) -> st.SearchStrategy[Any]:
    element = element_type(dtype)
    if is_composite(dtype):
        return _MESSAGES[outer_type(dtype)]
    if element is None:
        return _ELEMENTS[dtype][1]
    values = _ELEMENTS[element][1]
    if element == "UnixTimestamp":
        values |= st.just(NO_TIME)
    short, long = st.lists(values, max_size=6), st.lists(values, min_size=60, max_size=90)
    return short | long if element in ("Int64", "Float64") else short


def proto(dtype: ValueType, value: Any) -> Value:
    """Feast's protobuf of a value, the empty message of None."""
    element = element_type(dtype)
    if value is None:
        return Value()
    if is_composite(dtype):
        found: Value = python_values_to_proto_values([value], feast_type(dtype).to_value_type())[0]
        return found
    if element is None:
        return Value(**{f"{_ELEMENTS[dtype][0]}_val": value})
    field = f"{_ELEMENTS[element][0]}_{'list' if dtype.startswith('Array') else 'set'}_val"
    message = Value.DESCRIPTOR.fields_by_name[field].message_type._concrete_class
    return Value(**{field: message(val=value)})


def in_order(dtype: ValueType, raw: bytes) -> bytes:
    """The bytes of a `ValueProto`, of maps with their entries in one order: Feast's has none."""
    if not is_composite(dtype):
        return raw
    ordered: bytes = Value.FromString(raw).SerializeToString(deterministic=True)
    assert len(ordered) == len(raw)
    return ordered


def column(dtype: Any, values: Sequence[Any]) -> Any:
    """The column that Headrace takes."""
    if is_composite(dtype):
        return [b"" if value is None else encode_message(dtype, value) for value in values]
    element = element_type(dtype)
    if element is not None:
        lists = [[] if value is None else value for value in values]
        lengths = np.array([len(value) for value in lists], np.int64)
        return Lists(column(element, [one for value in lists for one in value]), lengths)
    if dtype == "UnixTimestamp":
        return np.array([v if v == NO_TIME else (v or 0) * 1000 for v in values], np.int64)
    if dtype in ("Float32", "Float64", "Bool", "Int32", "Int64"):
        kind = {"Float32": np.float64, "Float64": np.float64, "Bool": np.bool_}.get(dtype, np.int64)
        return np.array([0 if value is None else value for value in values], kind)
    return [value if isinstance(value, bytes) else (value or "").encode() for value in values]


def shown(value: Any) -> Any:
    """To compare by: type and every bit, and NaN is NaN. Sets and dicts are in no order."""
    if isinstance(value, set):
        return sorted(map(repr, value))
    if isinstance(value, dict):
        return sorted((repr(key), shown(each)) for key, each in value.items())
    if isinstance(value, list):
        return list(map(shown, value))
    return repr(value)
