"""Columns of maps, structs, lists in lists and zoned times, as Arrow gives them, to messages."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headrace.featurestore.redis_codec.nested_encoder import encode_message
from headrace.schemas.feature_types import ValueType
from headrace.schemas.nested_types import TypeTree, parse_type

_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
_ZONED = re.compile(r"(.+)\[([^\]]+)\]")  # RFC 9557
# Numbers in a list keep their width, as far as Feast has it.
_WIDTHS: dict[str, pa.DataType] = {
    **dict.fromkeys(("int8", "int16", "int32", "uint8", "uint16"), pa.int32()),
    **dict.fromkeys(("int64", "uint32", "uint64"), pa.int64()),
    **dict.fromkeys(("halffloat", "float"), pa.float32()),
    "double": pa.float64(),
    "bool": pa.bool_(),
}


def read_messages(dtype: ValueType, array: pa.Array) -> list[bytes]:
    """The messages of a column's values, empty where it is null.

    Parameters
    ----------
    dtype
        A composite type; see `headrace.schemas.feature_types.is_composite`.
    array
        Shape (n,): structs, maps (also lists of structs of key and value), lists, times, or texts: of JSON;
        of zoned times in ISO 8601, with the name of the zone behind them if they have one
        (``2026-01-01T00:00+09:00[Asia/Tokyo]``).

    Raises
    ------
    ValueError
        When a value is of another type, or Feast has no way to write it; the message says which row.
    """
    declared = parse_type(dtype)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    values = _texts(dtype, array) if any(is_text(array.type) for is_text in _TEXT) else _values(array)
    return [_message(dtype, declared, row, value) for row, value in enumerate(values)]


def _message(dtype: ValueType, declared: TypeTree, row: int, value: Any) -> bytes:
    if value is None:
        return b""
    try:
        return encode_message(dtype, _fitted(declared, value))
    except ValueError as error:
        raise ValueError(f"row {row}: {error}") from None


def _texts(dtype: ValueType, array: pa.Array) -> list[Any]:
    if dtype == "ScalarMap":
        raise ValueError("it is text, and keys in JSON are: give a list of structs of key and value")
    read = _moment if dtype == "ZonedTimestamp" else json.loads
    found = []
    for row, text in enumerate(array.to_pylist()):
        try:
            found.append(None if text is None else read(text))
        except ValueError:
            raise ValueError(f"row {row} is {text!r}, which is no {dtype}") from None
        if text is not None and found[-1] is None:
            raise ValueError(f"row {row} is the JSON null; leave it out of the table")
    return found


def _moment(text: str) -> datetime:
    if (zoned := _ZONED.fullmatch(text)) is None:
        return datetime.fromisoformat(text)
    moment = datetime.fromisoformat(zoned[1])
    try:
        zone = ZoneInfo(zoned[2])
    except (KeyError, OSError) as error:
        raise ValueError(str(error)) from None
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)


def _values(array: pa.Array) -> list[Any]:
    """Python's values, lists of numbers and times as numpy's."""
    kind = array.type
    if pa.types.is_struct(kind):
        columns = [_values(column) for column in array.flatten()]
        names = [kind.field(at).name for at in range(kind.num_fields)]
        rows: Any = zip(*columns, strict=True) if columns else ((),) * len(array)
        return _where_known(array, [dict(zip(names, row, strict=True)) for row in rows])
    if pa.types.is_map(kind):
        array = array.cast(pa.list_(pa.struct([kind.key_field, kind.item_field])))
        keys, items = map(_values, array.flatten().flatten())
        return _cut(array, list(zip(keys, items, strict=True)), dict)
    if any(is_list(kind) for is_list in _LISTS):
        return _cut(array, _elements(array.flatten()), lambda part: part)
    return _leaves(array)


def _leaves(array: pa.Array) -> list[Any]:
    kind = array.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        zone = kind.tz if pa.types.is_timestamp(kind) else None
        array = array.cast(pa.timestamp("us", zone), safe=False)
    found: list[Any] = array.to_pylist()
    return found


def _elements(inside: pa.Array) -> list[Any] | NDArray[Any]:
    """What is in lists: numbers with their width, unless one is missing that has no way to be."""
    kind = inside.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        # By numpy, which rounds down; Arrow's cast would round times before 1970 up.
        return np.asarray(inside.to_numpy(zero_copy_only=False)).astype("datetime64[ms]")
    width = _WIDTHS.get(str(kind))
    if pa.types.is_floating(kind):
        return np.asarray(pc.fill_null(inside.cast(width), math.nan))
    return _values(inside) if width is None or inside.null_count else np.asarray(inside.cast(width))


def _cut(array: pa.Array, inside: Any, made: Callable[[Any], Any]) -> list[Any]:
    """Each row's part of what is inside of all."""
    found, at = [], 0
    for length in pc.list_value_length(array).to_pylist():
        end = at + (length or 0)
        found.append(None if length is None else made(inside[at:end]))
        at = end
    return found


def _where_known(array: pa.Array, values: list[Any]) -> list[Any]:
    known = array.is_valid().to_pylist()
    return [value if there else None for value, there in zip(values, known, strict=True)]


def _fitted(declared: TypeTree, value: Any) -> Any:
    """The value, its maps as dicts, if it is of the declared type. A null is of any."""
    if value is None:
        return None
    if declared.name in ("Array", "Set"):
        return _fitted_list(declared, value)
    if declared.name in ("Map", "ScalarMap"):
        return _fitted_map(declared, value)
    if declared.name == "Struct":
        fields = dict(declared.parts)
        if not isinstance(value, dict) or not value.keys() <= fields.keys():
            raise ValueError(f"{value!r} is no {declared}")
        return {name: _fitted(fields[name], each) for name, each in value.items()}
    if not _is_single(declared.name, value):
        raise ValueError(f"{value!r} is no {declared}")
    return value


def _is_single(name: str, value: Any) -> bool:
    if isinstance(value, bool) or name == "Bool":
        return isinstance(value, bool) and name == "Bool"
    if name in _INTEGERS and isinstance(value, float):  # as pandas has those beside a null
        return math.isnan(value) or value.is_integer()
    return isinstance(value, _PYTHON[name])


def _fitted_list(declared: TypeTree, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        kind, element = value.dtype.kind, declared.element.name
        known = ~np.isnan(value) if kind == "f" else np.ones(len(value), np.bool_)
        whole = kind != "f" or element not in _INTEGERS or (value[known] % 1 == 0).all()
        if kind not in _KINDS.get(element, "") or not whole:
            raise ValueError(f"{value.tolist()!r} is no {declared}")
        return value
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is no {declared}")
    return [_fitted(declared.element, each) for each in value]


def _fitted_map(declared: TypeTree, value: Any) -> Any:
    """Maps come as such, or as lists of their entries: structs of key and value, or pairs of texts, which is
    what pandas makes of Arrow's maps of texts."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        if all(isinstance(entry, dict) and entry.keys() == {"key", "value"} for entry in value):
            return {entry["key"]: entry["value"] for entry in value}
        if declared.name == "Map" and all(isinstance(entry, list) and len(entry) == 2 for entry in value):
            return dict(value)
    raise ValueError(f"{value!r} is no {declared}; give a map, or a list of structs of key and value")


_INTEGERS = ("Int32", "Int64")
_PYTHON: dict[str, tuple[type, ...]] = {
    "Int32": (int,),
    "Int64": (int,),
    "Float32": (float, int),
    "Float64": (float, int),
    "String": (str,),
    "Json": (str,),
    "Uuid": (str, UUID),
    "TimeUuid": (str, UUID),
    "Decimal": (str, Decimal),
    "Bytes": (bytes,),
    "PdfBytes": (bytes,),
    "ImageBytes": (bytes,),
    "UnixTimestamp": (datetime,),
    "ZonedTimestamp": (datetime,),
}
# Numpy's kinds of lists of each.
_KINDS = {
    "Int32": "if",
    "Int64": "if",
    "Float32": "if",
    "Float64": "if",
    "Bool": "b",
    "UnixTimestamp": "M",
}
