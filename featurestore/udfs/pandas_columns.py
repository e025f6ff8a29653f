"""Columns of records as pandas has them, and back.

What a column is in pandas follows from the event schema alone, never from the values: a column that is int64
in one range and float64, for a null, in the next would have a udf give results that depend on the range.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from headrace.schemas.avro import Column
from headrace.schemas.avro.columns import MAX_STRING, from_objects
from headrace.schemas.errors import RecordError
from headrace.schemas.feature_specs import ColumnKind, ColumnSpec

_EXACT = 2**53  # above it a float64 does not tell whole numbers apart
_OBJECTS: dict[ColumnKind, tuple[type, ...]] = {
    "boolean": (bool, np.bool_),
    "long": (int, np.integer),
    "double": (float, np.floating),
    "string": (str,),
}


def to_pandas(column: Column, spec: ColumnSpec) -> Any:
    """An array for a DataFrame, shape (n,).

    double is float64 with NaN for null; long and boolean are int64 and bool, or where the schema has null
    Int64 and boolean with NA; string is object, `str` or None.
    """
    values, null = column.values, ~column.valid
    if spec.kind == "double":
        return np.where(null, np.nan, values)
    if spec.kind == "string":
        texts = [None if no else text.decode() for text, no in zip(values.tolist(), null, strict=True)]
        return np.array(texts, object)
    if not spec.nullable:
        return values
    if spec.kind == "long":
        return pd.arrays.IntegerArray(values.astype(np.int64), null)
    return pd.arrays.BooleanArray(values.astype(np.bool_), null)


def to_datetimes(values: NDArray[np.int64], unit: Literal["ms", "us"]) -> Any:
    """Event times since 1970 as ``datetime64[unit, UTC]``, shape (n,)."""
    return pd.DatetimeIndex(values.view(f"M8[{unit}]"), tz="UTC")


def kind_of(series: Any) -> ColumnKind | None:
    """The kind that a column of a result is; None where there is nothing to tell it by.

    Raises
    ------
    RecordError
        When it is none.
    """
    dtype = series.dtype
    if types.is_bool_dtype(dtype):
        return "boolean"
    if types.is_integer_dtype(dtype):
        return "long"
    if types.is_float_dtype(dtype):
        return "double"
    if isinstance(dtype, pd.StringDtype):
        return "string"
    if dtype != np.dtype(object):
        raise _misfit(series, f"has dtype {dtype}; make it a number, text or bool")
    found = {_kind_of_object(series, value) for value in series[series.notna()]}
    if found == {"long", "double"}:
        return "double"
    if len(found) > 1:
        raise _misfit(series, f"holds {' and '.join(sorted(found))}; make it one of them")
    return found.pop() if found else None


def from_pandas(series: Any, kind: ColumnKind) -> Column:
    """A column of a result as a column of this kind; NaN, None and NA are null.

    Raises
    ------
    RecordError
        When a value does not fit.
    """
    null = series.isna().to_numpy(np.bool_)
    if null.all():  # whatever dtype pandas chose for nothing but nulls
        return from_objects(kind, [None] * len(series))
    found = kind_of(series)
    if kind == "string" == found:
        return _strings(series, null)
    if kind == found == "boolean":
        return Column(_numbers(series, null, np.bool_), ~null)
    if kind == "double" and found in ("double", "long"):
        values = _numbers(series, null, np.float64)
        return Column(values, ~(null | np.isnan(values)))
    if kind == found == "long":
        if types.is_unsigned_integer_dtype(series.dtype):
            series = _checked(series, series.fillna(0).to_numpy(np.uint64) < 2**63, "does not fit int64")
        return Column(_numbers(series, null, np.int64), ~null)
    if kind == "long" and found == "double":
        return _whole(series, null)
    raise _misfit(series, f"is {found}, and was {kind} when the plan was made")


def _strings(series: Any, null: NDArray[np.bool_]) -> Column:
    texts: list[bytes | None] = []
    for text, no in zip(series, null, strict=True):
        try:
            raw = None if no else text.encode()
        except UnicodeEncodeError as error:
            raise _misfit(series, f"holds text that is no Unicode ({error.reason})") from error
        if raw is not None and (len(raw) > MAX_STRING or raw.endswith(b"\0")):
            raise _misfit(series, f"holds text of {len(raw)} bytes; at most {MAX_STRING}, without NUL behind")
        texts.append(raw)
    return from_objects("string", texts)


def _numbers(series: Any, null: NDArray[np.bool_], dtype: Any) -> NDArray[Any]:
    """Values of a numeric column, 0 where null."""
    try:
        values: NDArray[Any] = (series.mask(null, 0) if null.any() else series).to_numpy(dtype)
    except (OverflowError, ValueError, TypeError) as error:
        raise _misfit(series, f"does not fit {np.dtype(dtype)} ({error})") from error
    return values


def _whole(series: Any, null: NDArray[np.bool_]) -> Column:
    """Whole numbers that pandas made floats, as it does for NaN."""
    values = _numbers(series, null, np.float64)
    fits = (np.abs(values) < _EXACT) & (values == np.rint(values))
    _checked(series, fits, "is no whole number below 2^53, and the column was long when the plan was made")
    return Column(values.astype(np.int64), ~null)


def _checked(series: Any, fits: NDArray[np.bool_], why: str) -> Any:
    if not fits.all():
        raise _misfit(series, f"holds {series[~fits].iloc[0]!r}, which {why}")
    return series


def _kind_of_object(series: Any, value: object) -> ColumnKind:
    for kind, of in _OBJECTS.items():
        if isinstance(value, of):
            return kind
    raise _misfit(series, f"holds a {type(value).__name__}; make it a number, text or bool")


def _misfit(series: Any, problem: str) -> RecordError:
    return RecordError(f"column '{series.name}' of its result {problem}")
