"""Columns of records as arrays of pandas, and back.

The dtype of a column follows from the event schema alone, never from its values. A column that is int64 in
one range of records and float64, because of a null, in the next would make results depend on the range.

>>> column = Column(np.array([7, 0]), np.array([True, False]))
>>> to_pandas(column, ColumnSpec(name="n", kind="long"))
<IntegerArray>
[7, <NA>]
Length: 2, dtype: Int64
>>> from_pandas(pd.Series([1.0, None]), "long").values.tolist()
[1, 0]
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

_EXACT = 2**53  # float64 holds every whole number up to here
_OBJECTS: dict[ColumnKind, tuple[type, ...]] = {
    "boolean": (bool, np.bool_),
    "long": (int, np.integer),
    "double": (float, np.floating),
    "string": (str,),
}


def to_pandas(column: Column, spec: ColumnSpec) -> Any:
    """Make an array for a DataFrame, shape (n,).

    double becomes float64 with NaN for null; long and boolean become int64 and bool, or where the schema
    allows null Int64 and boolean with NA; string becomes object, of `str` and None.
    """
    values, null = column.values, ~column.valid
    if spec.kind == "double":
        return np.where(null, np.nan, values)
    if spec.kind == "string":
        pairs = zip(values.tolist(), null, strict=True)
        return np.array([None if is_null else text.decode() for text, is_null in pairs], object)
    if not spec.nullable:
        return values
    if spec.kind == "long":
        return pd.arrays.IntegerArray(values.astype(np.int64), null)
    return pd.arrays.BooleanArray(values.astype(np.bool_), null)


def to_datetimes(values: NDArray[np.int64], unit: Literal["ms", "us"]) -> Any:
    """Make ``datetime64[unit, UTC]`` of event times since 1970, shape (n,)."""
    return pd.DatetimeIndex(values.view(f"M8[{unit}]"), tz="UTC")


def kind_of(series: Any) -> ColumnKind | None:
    """The kind of a column of a result; None where all its values are null.

    Raises
    ------
    RecordError
        When a column is of another dtype, or holds values of several kinds.
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
    kinds = {_kind_of_object(series, value) for value in series[series.notna()]}
    if kinds == {"long", "double"}:
        return "double"
    if len(kinds) > 1:
        raise _misfit(series, f"holds {' and '.join(sorted(kinds))}; make it one of them")
    return kinds.pop() if kinds else None


def from_pandas(series: Any, kind: ColumnKind) -> Column:
    """Convert a column of a result to this kind; NaN, None and NA are null.

    Raises
    ------
    RecordError
        When a value does not fit; names the column.
    """
    null = series.isna().to_numpy(np.bool_)
    if null.all():  # whatever dtype pandas chose for nothing but nulls
        return from_objects(kind, [None] * len(series))
    actual = kind_of(series)
    if kind == "string" == actual:
        return _strings(series, null)
    if kind == actual == "boolean":
        return Column(_numbers(series, null, np.bool_), ~null)
    if kind == "double" and actual in ("double", "long"):
        values = _numbers(series, null, np.float64)
        return Column(values, ~(null | np.isnan(values)))
    if kind == actual == "long":
        if types.is_unsigned_integer_dtype(series.dtype):
            series = _require(series, series.fillna(0).to_numpy(np.uint64) < 2**63, "does not fit int64")
        return Column(_numbers(series, null, np.int64), ~null)
    if kind == "long" and actual == "double":
        return _whole(series, null)
    raise _misfit(series, f"is {actual}, and was {kind} when the plan was made")


def _strings(series: Any, null: NDArray[np.bool_]) -> Column:
    texts: list[bytes | None] = []
    for text, is_null in zip(series, null, strict=True):
        try:
            raw = None if is_null else text.encode()
        except UnicodeEncodeError as error:
            raise _misfit(series, f"holds text that is no Unicode ({error.reason})") from error
        if raw is not None and (len(raw) > MAX_STRING or raw.endswith(b"\0")):
            raise _misfit(series, f"holds text of {len(raw)} bytes; at most {MAX_STRING}, without NUL behind")
        texts.append(raw)
    return from_objects("string", texts)


def _numbers(series: Any, null: NDArray[np.bool_], dtype: Any) -> NDArray[Any]:
    """Values of a numeric column, 0 where null."""
    zero = False if dtype is np.bool_ else 0
    try:
        values: NDArray[Any] = (series.mask(null, zero) if null.any() else series).to_numpy(dtype)
    except (OverflowError, ValueError, TypeError) as error:
        raise _misfit(series, f"does not fit {np.dtype(dtype)} ({error})") from error
    return values


def _whole(series: Any, null: NDArray[np.bool_]) -> Column:
    """Convert whole numbers that pandas made floats, as it does for NaN."""
    values = _numbers(series, null, np.float64)
    fits = (np.abs(values) < _EXACT) & (values == np.rint(values))
    _require(series, fits, "is no whole number below 2^53, and the column was long when the plan was made")
    return Column(values.astype(np.int64), ~null)


def _require(series: Any, fits: NDArray[np.bool_], problem: str) -> Any:
    if not fits.all():
        raise _misfit(series, f"holds {series[~fits].iloc[0]!r}, which {problem}")
    return series


def _kind_of_object(series: Any, value: object) -> ColumnKind:
    for kind, types_of_kind in _OBJECTS.items():
        if isinstance(value, types_of_kind):
            return kind
    raise _misfit(series, f"holds a {type(value).__name__}; make it a number, text or bool")


def _misfit(series: Any, problem: str) -> RecordError:
    return RecordError(f"column '{series.name}' of its result {problem}")
