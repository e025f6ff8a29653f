"""Columns of maps, structs, lists in lists and zoned times, as Arrow gives them, to messages."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headrace.featurestore.batch.times import check_times
from headrace.featurestore.redis_codec.nested_encoder import encode_message
from headrace.featurestore.redis_codec.nested_values import conform, zoned_time
from headrace.schemas.feature_types import ValueType
from headrace.schemas.json_nesting import parse_json
from headrace.schemas.nested_types import TypeTree, parse_type

_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_SHOWN = 100  # characters of a text
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
# Numbers in a list keep their width, as far as Feast has it.
_WIDTHS: dict[str, pa.DataType] = {
    **dict.fromkeys(("int8", "int16", "int32", "uint8", "uint16"), pa.int32()),
    **dict.fromkeys(("int64", "uint32", "uint64"), pa.int64()),
    **dict.fromkeys(("halffloat", "float"), pa.float32()),
    "double": pa.float64(),
    "bool": pa.bool_(),
}


def read_messages(dtype: ValueType, array: pa.Array) -> list[bytes]:
    """Encode a column's values as messages, empty where it is null.

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
    is_text = any(is_text(array.type) for is_text in _TEXT)
    values = _parsed(dtype, array) if is_text else python_values(array)
    return [_message(dtype, declared, row, value) for row, value in enumerate(values)]


def python_values(array: pa.Array) -> list[Any]:
    """Convert an array to Python's values; lists of numbers and times become numpy's arrays.

    >>> python_values(pa.array([{"a": 1, "b": [0.5, None]}, None]))
    [{'a': 1, 'b': array([0.5, nan])}, None]
    >>> python_values(pa.array([[("x", 1)], []], pa.map_(pa.string(), pa.int64())))
    [{'x': 1}, {}]
    """
    kind = array.type
    if pa.types.is_struct(kind):
        columns = [python_values(column) for column in array.flatten()]
        names = [kind.field(number).name for number in range(kind.num_fields)]
        rows: Any = zip(*columns, strict=True) if columns else ((),) * len(array)
        return _null_where_null(array, [dict(zip(names, row, strict=True)) for row in rows])
    if pa.types.is_map(kind):
        array = array.cast(pa.list_(pa.struct([kind.key_field, kind.item_field])))
        keys, items = map(python_values, array.flatten().flatten())
        return _split(array, list(zip(keys, items, strict=True)), dict)
    if any(is_list(kind) for is_list in _LISTS):
        return _split(array, _elements(array.flatten()), lambda elements: elements)
    return _scalars(array)


def _message(dtype: ValueType, declared: TypeTree, row: int, value: Any) -> bytes:
    if value is None:
        return b""
    try:
        return encode_message(dtype, conform(declared, value))
    except ValueError as error:
        raise ValueError(f"row {row}: {error}") from None


def _parsed(dtype: ValueType, array: pa.Array) -> list[Any]:
    """Values of texts: JSON, or zoned times."""
    if dtype == "ScalarMap":
        raise ValueError("it is text, and keys in JSON are: give a list of structs of key and value")
    parse = zoned_time if dtype == "ZonedTimestamp" else parse_json
    values = []
    for row, text in enumerate(array.to_pylist()):
        try:
            value = None if text is None else parse(text)
        except ValueError:
            raise ValueError(f"row {row} is {text[:_SHOWN]!r}, which is no {dtype}") from None
        if text is not None and value is None:
            raise ValueError(f"row {row} is the JSON null; leave it out of the table")
        values.append(value)
    return values


def _scalars(array: pa.Array) -> list[Any]:
    kind = array.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        check_times(array)
        zone = kind.tz if pa.types.is_timestamp(kind) else None
        array = array.cast(pa.timestamp("us", zone), safe=False)
    values: list[Any] = array.to_pylist()
    return values


def _elements(elements: pa.Array) -> list[Any] | NDArray[Any]:
    """Elements of lists: numbers with their width, unless one is null and its type has no missing value."""
    kind = elements.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        check_times(elements)
        # By numpy, which rounds down; Arrow's cast would round times before 1970 up.
        return np.asarray(elements.to_numpy(zero_copy_only=False)).astype("datetime64[ms]")
    width = _WIDTHS.get(str(kind))
    if pa.types.is_floating(kind):
        return np.asarray(pc.fill_null(elements.cast(width), math.nan))
    if width is None or elements.null_count:
        return python_values(elements)
    return np.asarray(elements.cast(width))


def _split(array: pa.Array, elements: Any, convert: Callable[[Any], Any]) -> list[Any]:
    """Divide the elements of all lists among the rows; null where the list is."""
    rows, start = [], 0
    for length in pc.list_value_length(array).to_pylist():
        end = start + (length or 0)
        rows.append(None if length is None else convert(elements[start:end]))
        start = end
    return rows


def _null_where_null(array: pa.Array, values: list[Any]) -> list[Any]:
    valid = array.is_valid().to_pylist()
    return [value if is_valid else None for value, is_valid in zip(values, valid, strict=True)]
