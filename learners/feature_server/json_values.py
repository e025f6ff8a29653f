"""Feature values as Feast's feature server writes them into JSON.

>>> json_writer("UnixTimestamp")([datetime(2024, 1, 1, tzinfo=UTC), None])
[1704067200, None]
>>> json_writer("Bytes")([b"abc"]), json_writer("Float64")([1.5, math.inf])
(['YWJj'], [1.5, 'Infinity'])
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from headrace.schemas.feature_types import ValueType, element_type, outer_type

_AS_THEY_ARE = frozenset(["Int32", "Int64", "String", "Bool"])
_FLOATS = frozenset(["Float32", "Float64"])


Values = Sequence[Any]


def json_writer(dtype: ValueType) -> Callable[[Values], Values]:
    """Return what makes values of JSON of the values of a feature; None stays None.

    Parameters
    ----------
    dtype
        The type of the feature. Its values are as the SDK gives them.
    """
    if dtype in _AS_THEY_ARE or (element_type(dtype) in _AS_THEY_ARE and dtype.startswith("Array")):
        return _as_they_are
    write = _WRITERS.get(outer_type(dtype), _native)

    def written(values: Values) -> Values:
        return [None if value is None else write(value) for value in values]

    return partial(_numbers, written) if dtype in _FLOATS else written


def _as_they_are(values: Values) -> Values:
    return values


def _numbers(written: Callable[[Values], Values], values: Values) -> Values:
    """Look at all at once whether JSON has them."""
    try:
        return values if math.isfinite(sum(values)) else written(values)
    except TypeError:  # None is among them
        return written(values)


def _native(value: Any) -> Any:
    """Write a value, or the values within it, by what they are."""
    write = _BY_CLASS.get(type(value))
    return value if write is None else write(value)


def _number(value: float) -> float | str:
    """JSON has neither NaN nor infinities: they are texts, as in protobuf's mapping."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _time(value: datetime) -> int | str:
    """Seconds since 1970, or the text of a time that has a zone of its own."""
    return round(value.timestamp()) if value.tzinfo is UTC else value.isoformat()


def _each(values: Sequence[Any]) -> list[Any]:
    return [_native(value) for value in values]


def _mapping(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _native(value) for name, value in values.items()}


_BY_CLASS: dict[type, Callable[[Any], Any]] = {
    float: _number,
    bytes: lambda value: base64.b64encode(value).decode(),
    datetime: _time,
    Decimal: str,
    UUID: str,
    list: _each,
    set: _each,
    dict: _mapping,
}
_WRITERS: dict[str, Callable[[Any], Any]] = {
    "Json": json.dumps,
    "Array(Json)": lambda values: [json.dumps(value) for value in values],
    "ZonedTimestamp": datetime.isoformat,
    "ScalarMap": lambda value: None,  # Feast's server writes none, as their keys are no texts
}
