"""Columns of a table, as Arrow gives them, to the columns the online writer takes.

The types must fit: nothing is rounded, cut off or turned into text on the way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.plan import ValueType

Column = tuple[Any, NDArray[np.bool_]]  # values of shape (n,), False where null
_INTEGERS = {"Int32": pa.int32(), "Int64": pa.int64()}


def read_column(dtype: ValueType, values: pa.ChunkedArray) -> Column:
    """Values and validity of one column.

    Parameters
    ----------
    dtype
        Type of the feature or join key.
    values
        Shape (n,). NaN is null, as it is to Feast. Whole numbers may come as floats, which is what pandas
        makes of integers with nulls.

    Raises
    ------
    ValueError
        When a value is of another type or does not fit; the message says which.
    """
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(array, pa.ChunkedArray):  # what combining gives for no rows at all
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    valid = np.asarray(pc.is_valid(array))
    return _read(dtype, array, valid), valid


def read_times_us(values: pa.ChunkedArray) -> NDArray[np.int64]:
    """Event times in epoch microseconds; those without a zone are UTC.

    Raises
    ------
    ValueError
        When they are no timestamps or some are missing.
    """
    if not pa.types.is_timestamp(values.type):
        raise ValueError(f"it is {values.type}, not a timestamp")
    if values.null_count:
        raise ValueError(f"{values.null_count} values are missing")
    return np.asarray(values.cast(pa.timestamp("us", values.type.tz), safe=False).cast(pa.int64()))


def _read(dtype: ValueType, array: pa.Array, valid: NDArray[np.bool_]) -> Any:
    kind = array.type
    if pa.types.is_null(kind):
        return [b""] * len(array) if dtype == "String" else np.zeros(len(array), np.int64)
    if dtype == "String" and (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return [b"" if text is None else text for text in array.cast(pa.large_binary()).to_pylist()]
    if dtype == "Bool" and pa.types.is_boolean(kind):
        return np.asarray(pc.fill_null(array, False))
    if dtype == "UnixTimestamp" and (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        zone = kind.tz if pa.types.is_timestamp(kind) else None
        milliseconds = array.cast(pa.timestamp("ms", zone), safe=False)
        return np.asarray(pc.fill_null(milliseconds.cast(pa.int64()), 0))
    if dtype in ("Float32", "Float64") and (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        return np.asarray(pc.fill_null(array.cast(pa.float64(), safe=False), 0.0))
    if dtype in _INTEGERS and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return _whole_numbers(dtype, array, valid)
    raise ValueError(f"it is {kind}, not {dtype}")


def _whole_numbers(dtype: ValueType, array: pa.Array, valid: NDArray[np.bool_]) -> NDArray[np.int64]:
    values = np.asarray(pc.fill_null(array, 0))
    limits = np.iinfo(np.int32 if dtype == "Int32" else np.int64)
    whole = (values >= limits.min) & (values <= limits.max)
    if values.dtype.kind == "f":
        whole &= (values == np.floor(values)) & (values < 2.0**63)
    if not whole.all():
        raise ValueError(f"row {np.argmin(whole)} is {values[np.argmin(whole)]}, which is no {dtype}")
    return values.astype(np.int64)
