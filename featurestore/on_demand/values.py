"""Values that functions of on-demand views take and give.

>>> cast_value("Int64", 3.0), cast_value("Array(Float64)", [1, 2])
(3, [1.0, 2.0])
>>> cast_value("Int64", 2.5)
Traceback (most recent call last):
ValueError: 2.5 is not whole
>>> is_null(float("nan")), is_null(0.0)
(True, False)
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from functools import partial
from typing import Any

from headrace.schemas.errors import RequestError
from headrace.schemas.feature_types import ValueType, element_type, is_composite

_TEXTS = (str, bytes, bytearray)


def data_frame(inputs: Mapping[str, Sequence[Any]], dtypes: Mapping[str, ValueType]) -> Any:
    """Make a DataFrame as Feast does, but of the declared types where all values are missing.

    Parameters
    ----------
    inputs
        Columns of n values each; a missing value is None.
    dtypes
        Types of the columns, where they are known.

    Raises
    ------
    RequestError
        When a column has values of another type.
    """
    import pandas as pd

    columns = {}
    for name, values in inputs.items():
        try:
            columns[name] = _series(dtypes.get(name), values)
        except (TypeError, ValueError, OverflowError) as error:
            raise RequestError(
                name, f"a value is no {dtypes.get(name)} ({error})", "Give values of that type, or None"
            ) from error
    return pd.DataFrame(columns)


def _series(dtype: ValueType | None, values: Sequence[Any]) -> Any:
    import pandas as pd

    has_missing = None in values
    if dtype in ("Float32", "Float64") or (dtype in ("Int32", "Int64") and has_missing):
        return pd.Series(values, dtype="float64")
    if dtype in ("Int32", "Int64"):
        return pd.Series(values, dtype="int64")
    if dtype == "UnixTimestamp":
        return pd.to_datetime(pd.Series(values, dtype="object"), utc=True)
    return pd.Series(values, dtype="bool" if dtype == "Bool" and not has_missing else "object")


def copied(dtype: ValueType | None, values: Sequence[Any]) -> list[Any]:
    """Copy a column with its lists, sets, maps and structs.

    >>> column = [[1, 2], None]
    >>> copied("Array(Int64)", column)[0].append(3)
    >>> column
    [[1, 2], None]
    """
    if dtype is not None and is_composite(dtype):
        return copy.deepcopy([*values])
    if dtype is not None and element_type(dtype) is not None:
        return [copy.copy(value) for value in values]
    return [*values]


def is_null(value: Any) -> bool:
    """Whether a value is None, NaN, or pandas' NaT or NA."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return type(value).__name__ in ("NaTType", "NAType")  # without an import of pandas


def cast_value(dtype: ValueType, value: Any) -> Any:
    """Cast a value to a type in `COMPUTED_TYPES`, without loss.

    Raises
    ------
    TypeError, ValueError, OverflowError
        When it is of another type.
    """
    element = element_type(dtype)
    if element is None:
        return _CASTS[dtype](value)
    if isinstance(value, (*_TEXTS, Mapping, AbstractSet)) or not isinstance(value, Collection):
        raise TypeError(f"{value!r} is no list")
    return [_CASTS[element](item) for item in value]


def _whole(value: Any, bits: int) -> int:
    number = value if type(value) is int else int(value)
    if number is not value and number != value:
        raise ValueError(f"{value!r} is not whole")
    if not -(1 << bits) <= number < 1 << bits:
        raise ValueError(f"{value!r} is beyond {bits + 1} bits")
    return number


def _floating(value: Any) -> float:
    if type(value) is float:
        return value
    if isinstance(value, _TEXTS):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _boolean(value: Any) -> bool:
    if value not in (0, 1):
        raise TypeError(f"{value!r} is no boolean")
    return bool(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    value.encode()  # not every text has a form in UTF-8
    return str(value)


def _time(value: Any) -> datetime:
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return datetime.fromtimestamp(math.floor(moment.timestamp()), UTC)
    return datetime.fromtimestamp(int(value), UTC)


_CASTS: Mapping[ValueType, Callable[[Any], Any]] = {
    "Int32": partial(_whole, bits=31),
    "Int64": partial(_whole, bits=63),
    "Float32": _floating,
    "Float64": _floating,
    "Bool": _boolean,
    "String": _text,
    "UnixTimestamp": _time,
}
COMPUTED_TYPES = (*_CASTS, *(f"Array({name})" for name in _CASTS))
