"""Values of pushed rows, checked against their declared types, as the columns that are encoded.

>>> read_values("Int64", [1, None, 3.0])
(array([1, 0, 3]), array([ True, False,  True]))
>>> read_values("Array(Float64)", [[0.5, None]])[0].tolist()
[[0.5, nan]]
>>> read_values("Int32", [7, 2**31])
Traceback (most recent call last):
headrace.featurestore.online.pushed_values.Misfit: row 1: 2147483648 is no Int32
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.featurestore.online.pushed_scalars import (
    SCALARS,
    instant_us,
    is_null,
    native,
    seconds_in_list,
    seconds_in_set,
)
from headrace.featurestore.redis_codec import layout
from headrace.featurestore.redis_codec.nested_encoder import encode_message
from headrace.featurestore.redis_codec.nested_values import conform, zoned_time
from headrace.featurestore.redis_codec.row_encoder import Column
from headrace.schemas.event_times import EARLIEST_MS, LATEST_MS
from headrace.schemas.feature_types import ValueType, element_type, is_composite
from headrace.schemas.json_nesting import parse_json
from headrace.schemas.nested_types import parse_type
from headrace.schemas.printable import printable
from headrace.streams.columnar.lists import Lists

_SHOWN = 100  # characters of a value
_FLOATS = ("Float32", "Float64")
_DTYPES: dict[layout.Wire, Any] = {"double": np.float64, "float": np.float64, "bool": np.bool_}


class Misfit(ValueError):
    """A value that is not of its declared type."""

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(f"row {row}: {problem}")
        self.row, self.problem = row, problem


def read_values(dtype: ValueType, values: Sequence[Any]) -> Column:
    """Check a column.

    Parameters
    ----------
    dtype
        Type of the feature or join key.
    values
        As Python, numpy or pandas has them. None, NaN, NaT and NA are null.

    Returns
    -------
    tuple
        Values as `column_values.encode_values` takes them, and validity, False where null.

    Raises
    ------
    Misfit
        For the first value of another type.
    """
    if is_composite(dtype):
        return _each(_message_of(dtype), values, b"", dtype)
    element = element_type(dtype)
    if element is None:
        cells, valid = _each(SCALARS[dtype], values, b"" if layout.wire_of(dtype) == "text" else 0, dtype)
        return _packed(dtype, cells), valid
    lists, valid = _each(lambda value: _elements(dtype, element, value), values, [], dtype)
    lengths = np.array([len(each) for each in lists], np.int64)
    return Lists(_packed(element, [cell for each in lists for cell in each]), lengths), valid


def read_event_times(values: Sequence[Any]) -> NDArray[np.int64]:
    """Check event times; return epoch microseconds.

    Raises
    ------
    Misfit
        For the first that is null, no time, or one that not every store can hold.
    """
    cells, valid = _each(_event_time_us, values, 0, "time between the years 1678 and 2262")
    if not valid.all():
        raise Misfit(int(np.argmin(valid)), "it is null")
    return np.array(cells, np.int64)


def _event_time_us(value: Any) -> int:
    time_us = instant_us(value)
    if not EARLIEST_MS <= time_us // 1000 <= LATEST_MS:
        raise ValueError("not every store can hold it")
    return time_us


def shown(value: Any) -> str:
    """Return a value as it may stand in a message.

    >>> shown("a" * 200)[-3:], shown(10**5000)
    ('aa…', 'an int that cannot be shown')
    """
    try:
        text = printable(ascii(value))
    except Exception:
        return f"an {type(value).__name__} that cannot be shown"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _each(
    read: Callable[[Any], Any], values: Sequence[Any], null: Any, called: str
) -> tuple[list[Any], NDArray[np.bool_]]:
    """Read the values that are not null; the others are `null`. `called` is what they should be."""
    cells, valid = [], np.ones(len(values), np.bool_)
    for row, given in enumerate(values):
        try:
            value = native(given)
            if is_null(value):
                valid[row] = False
                cells.append(null)
            else:
                cells.append(read(value))
        except Exception:  # a value is anyone's object
            raise Misfit(row, f"{shown(given)} is no {called}") from None
    return cells, valid


def _packed(dtype: ValueType, cells: list[Any]) -> Any:
    wire = layout.wire_of(dtype)
    return cells if wire == "text" else np.array(cells, _DTYPES.get(wire, np.int64))


def _elements(dtype: ValueType, element: ValueType, value: Any) -> list[Any]:
    """Elements of a list or a set. Those of a set once each, in the order of Feast's rows; see `batch`."""
    if not _is_list(value):
        raise TypeError("no list")
    is_set, read = dtype.startswith("Set"), SCALARS[element]
    if element == "UnixTimestamp":
        read = seconds_in_set if is_set else seconds_in_list
    cells = []
    for each in value.tolist() if isinstance(value, np.ndarray) and value.dtype.kind != "M" else value:
        item = native(each)
        if is_null(item):
            cells.append(_null_element(element))
        else:
            cells.append(read(item))
    if not is_set:
        return cells
    return list(dict.fromkeys(cells) if layout.wire_of(element) == "text" else set(cells))


def _null_element(element: ValueType) -> Any:
    if element in _FLOATS:
        return math.nan
    if element == "UnixTimestamp":
        return layout.NULL_SECONDS
    raise ValueError("a null, for which there is no room")


def _message_of(dtype: ValueType) -> Callable[[Any], bytes]:
    """The function that encodes a composite value; also of text of JSON, or of a zoned time."""
    declared = parse_type(dtype)
    parse = zoned_time if dtype == "ZonedTimestamp" else parse_json

    def encode(value: Any) -> bytes:
        if isinstance(value, str) and dtype != "ScalarMap":
            value = parse(value)
        if dtype in ("Map", "ScalarMap") and _is_list(value) and all(type(each) is tuple for each in value):
            value = dict(value)  # as pyarrow gives maps
        return encode_message(dtype, conform(declared, _plain(value)))

    return encode


def _plain(value: Any) -> Any:
    """Return a nested value with lists for sets and tuples, and times in lists as numpy has them."""
    if isinstance(value, dict):
        return {native(key): _plain(each) for key, each in value.items()}
    if not _is_list(value) or isinstance(value, np.ndarray):
        return native(value)
    items = [_plain(each) for each in value]
    if items and all(isinstance(each, datetime) for each in items):
        naive = [each.astimezone(UTC).replace(tzinfo=None) if each.tzinfo else each for each in items]
        return np.array(naive, "datetime64[ms]")
    return items


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | AbstractSet | np.ndarray)
