"""Values of every type a feature may have: Feast's protobuf of them, and the columns Headrace takes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
from feast.protos.feast.types.Value_pb2 import Value
from hypothesis import strategies as st

from schemas.feature_specs import ValueType
from streams.lists import Lists

TYPES: tuple[ValueType, ...] = get_args(ValueType)
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


def element_of(dtype: ValueType) -> str | None:
    """What is in a list or a set, None for other types."""
    return dtype.split("(")[1][:-1] if "(" in dtype else None


def values_of(dtype: ValueType) -> st.SearchStrategy[Any]:
    element = element_of(dtype)
    if element is None:
        return _ELEMENTS[dtype][1]
    values = _ELEMENTS[element][1]
    if element == "UnixTimestamp":
        values |= st.just(NO_TIME)
    short, long = st.lists(values, max_size=6), st.lists(values, min_size=60, max_size=90)
    return short | long if element in ("Int64", "Float64") else short


def proto(dtype: ValueType, value: Any) -> Value:
    """Feast's protobuf of a value, the empty message of None."""
    element = element_of(dtype)
    if value is None:
        return Value()
    if element is None:
        return Value(**{f"{_ELEMENTS[dtype][0]}_val": value})
    field = f"{_ELEMENTS[element][0]}_{'list' if dtype.startswith('Array') else 'set'}_val"
    message = Value.DESCRIPTOR.fields_by_name[field].message_type._concrete_class
    return Value(**{field: message(val=value)})


def column(dtype: str, values: Sequence[Any]) -> Any:
    """The column that Headrace takes."""
    element = element_of(dtype)  # type: ignore[arg-type]
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
    """To compare by: type and every bit, and NaN is NaN."""
    return sorted(map(repr, value)) if isinstance(value, set) else repr(value)
