"""Columns of a table, as Arrow gives them, to the columns that the online writer takes.

The types must fit: nothing is rounded, cut off or turned into text on the way. Times alone lose what is below
a second, because Feast stores whole seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headrace.featurestore.batch.nested_columns import read_messages
from headrace.featurestore.batch.times import check_times
from headrace.featurestore.redis_codec.layout import NULL_SECONDS, wire_of
from headrace.schemas.feature_types import ValueType, element_type, is_composite
from headrace.schemas.json_nesting import parse_json
from headrace.streams.columnar.lists import Lists

Column = tuple[Any, NDArray[np.bool_]]  # values of shape (n,) or n `Lists`, False where null
_SHOWN = 100  # characters of a text
_WHOLE_NUMBERS: tuple[ValueType, ...] = ("Int32", "Int64")
_BYTES: tuple[ValueType, ...] = ("Bytes", "PdfBytes", "ImageBytes")
_BINARY = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
# Readers of text that has to be of a form.
_PARSERS: dict[ValueType, Callable[[str], object]] = {
    "Json": parse_json,
    "Uuid": UUID,
    "TimeUuid": UUID,
    "Decimal": Decimal,
}
# The value of a null in a list. NaN is a null in a column, but a number like others in a list.
_NULL_ELEMENTS: dict[ValueType, Any] = {"Float32": np.nan, "Float64": np.nan, "UnixTimestamp": NULL_SECONDS}


def read_column(dtype: ValueType, values: pa.ChunkedArray | pa.Array) -> Column:
    """Convert one column.

    Parameters
    ----------
    dtype
        Type of the feature or join key.
    values
        Shape (n,). NaN is null, as it is to Feast. Whole numbers may come as floats, as pandas has integers
        beside nulls, and numbers as decimals. Of a set, an element that comes again is left out.

    Returns
    -------
    tuple
        Values and validity, False where null. Lists and sets are `Lists`, composite types their messages,
        times epoch milliseconds. In a list of floating numbers a null is NaN, in one of times a missing time,
        as Feast writes them; other lists have no room for nulls.

    Raises
    ------
    ValueError
        When a value is of another type or does not fit; the message says which.

    Examples
    --------
    >>> read_column("Int64", pa.array([1.0, None, 3.0]))
    (array([1, 0, 3]), array([ True, False,  True]))
    >>> read_column("Int32", pa.array([2**31]))
    Traceback (most recent call last):
    ValueError: row 0 is 2147483648, which is no Int32
    """
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(array, pa.ChunkedArray):  # what combining gives for no rows at all
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if is_composite(dtype):
        return read_messages(dtype, array), np.asarray(pc.is_valid(array))
    element = element_type(dtype)
    if element is not None:
        return _read_lists(dtype, element, array), np.asarray(pc.is_valid(array))
    return _read_scalars(dtype, array)


def read_times_us(values: pa.ChunkedArray) -> NDArray[np.int64]:
    """Convert event times to epoch microseconds; without a zone they are UTC.

    Raises
    ------
    ValueError
        When they are no timestamps, or some are missing or of no year that can be held.
    """
    if not pa.types.is_timestamp(values.type):
        raise ValueError(f"it is {values.type}, not a timestamp")
    if values.null_count:
        raise ValueError(f"{values.null_count} values are missing")
    check_times(values)
    return np.asarray(values.cast(pa.timestamp("us", values.type.tz), safe=False).cast(pa.int64()))


def _read_lists(dtype: ValueType, element: ValueType, array: pa.Array) -> Lists:
    if pa.types.is_null(array.type):
        return Lists(_values(element, pa.nulls(0), np.ones(0, np.bool_)), np.zeros(len(array), np.int64))
    if not any(is_list(array.type) for is_list in _LISTS):
        raise ValueError(f"it is {array.type}, not {dtype}")
    lengths = np.asarray(pc.fill_null(pc.list_value_length(array), 0)).astype(np.int64)
    elements = array.flatten()  # without what stands behind nulls
    is_set = dtype.startswith("Set")
    if element == "UnixTimestamp" and pa.types.is_timestamp(elements.type) and not is_set:
        check_times(elements)
        # toward zero, as Feast in lists; in sets it rounds down
        elements = elements.cast(pa.timestamp("s", elements.type.tz), safe=False)
    values, valid = _read_scalars(element, elements)
    if not valid.all():
        if element not in _NULL_ELEMENTS:
            row = int(np.searchsorted(np.cumsum(lengths), np.argmin(valid), side="right"))
            raise ValueError(f"row {row} has a null in it, for which {dtype} has no room")
        values = np.where(valid, values, _NULL_ELEMENTS[element])
    lists = Lists(values, lengths)
    return _distinct(lists) if is_set else lists


def _distinct(lists: Lists) -> Lists:
    """Keep each element of a set once, in the order of Feast's rows.

    That of numbers is the order of Python's sets. Texts have another order there in every process: they keep
    that of the table.
    """
    dtype = lists.values.dtype if isinstance(lists.values, np.ndarray) else None
    sets = [list(set(elements) if dtype else dict.fromkeys(elements)) for elements in lists.tolist()]
    values = [value for elements in sets for value in elements]
    lengths = np.array([len(elements) for elements in sets], np.int64)
    return Lists(np.array(values, dtype) if dtype else values, lengths)


def _read_scalars(dtype: ValueType, array: pa.Array) -> Column:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    valid = np.asarray(pc.is_valid(array))
    return _values(dtype, array, valid), valid


def _values(dtype: ValueType, array: pa.Array, valid: NDArray[np.bool_]) -> Any:
    if pa.types.is_decimal(array.type):
        array = _without_decimals(dtype, array)
    kind = array.type
    if pa.types.is_null(kind):
        return [b""] * len(array) if wire_of(dtype) == "text" else np.zeros(len(array), np.int64)
    if wire_of(dtype) == "text" and _is_text(dtype, array):
        return [b"" if text is None else text for text in array.cast(pa.large_binary()).to_pylist()]
    if dtype == "Bool" and pa.types.is_boolean(kind):
        return np.asarray(pc.fill_null(array, False))
    if dtype == "UnixTimestamp" and (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        return _times_ms(array, valid)
    if dtype in ("Float32", "Float64") and (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        return np.asarray(pc.fill_null(array.cast(pa.float64(), safe=False), 0.0))
    if dtype in _WHOLE_NUMBERS and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return _whole_numbers(dtype, array)
    raise ValueError(f"it is {kind}, not {dtype}")


def _without_decimals(dtype: ValueType, array: pa.Array) -> pa.Array:
    """Convert decimals, which are also the whole numbers of a warehouse, to what a type is read from."""
    values: list[Decimal | None] = array.to_pylist()
    if dtype == "Decimal":
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    if dtype in ("Float32", "Float64"):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if dtype not in _WHOLE_NUMBERS:
        return array
    for row, value in enumerate(values):
        if value is not None and not (value == int(value) and -(2**63) <= value < 2**63):
            raise ValueError(f"row {row} is {value}, which is no {dtype}")
    return pa.array([None if value is None else int(value) for value in values], pa.int64())


def _times_ms(array: pa.Array, valid: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Epoch milliseconds of times and dates, rounded down; Arrow's cast would round those before 1970 up."""
    check_times(array)
    times = np.asarray(array.to_numpy(zero_copy_only=False)).astype("datetime64[ms]")
    return np.where(valid, times.astype(np.int64), 0)


def _is_text(dtype: ValueType, array: pa.Array) -> bool:
    kind = array.type
    if dtype in _BYTES:
        return any(is_binary(kind) for is_binary in _BINARY)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return False
    for row, text in enumerate(array.to_pylist() if dtype in _PARSERS else ()):
        try:
            if text is not None:
                _PARSERS[dtype](text)
        except (ValueError, ArithmeticError):
            raise ValueError(f"row {row} is {text[:_SHOWN]!r}, which is no {dtype}") from None
    return True


def _whole_numbers(dtype: ValueType, array: pa.Array) -> NDArray[np.int64]:
    values = np.asarray(pc.fill_null(array, 0))
    limits = np.iinfo(np.int32 if dtype == "Int32" else np.int64)
    fits = (values >= limits.min) & (values <= limits.max)
    if values.dtype.kind == "f":
        fits &= (values == np.floor(values)) & (values < 2.0**63)
    if not fits.all():
        row = int(np.argmin(fits))
        raise ValueError(f"row {row} is {values[row]}, which is no {dtype}")
    return values.astype(np.int64)
