"""Feature values as the log of predictions holds them, and back: times there are epoch milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from headrace.schemas.feature_types import ValueType
from headrace.schemas.records import Value

_PYTHON: Mapping[ValueType, tuple[type, ...]] = {
    "Int32": (int,),
    "Int64": (int,),
    "Float32": (int, float),
    "Float64": (int, float),
    "String": (str,),
    "Bool": (bool,),
    "UnixTimestamp": (int,),
}


def to_logged(value: Any) -> Value:
    """Times as epoch milliseconds; everything else as it is."""
    return round(value.timestamp() * 1000) if isinstance(value, datetime) else value


def from_logged(dtype: ValueType, value: Value) -> Any:
    """What a feature or a request field of this type was."""
    if dtype == "UnixTimestamp" and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC)
    return value


def fits(dtype: ValueType, value: Value) -> bool:
    """Whether a logged value, which may be null, is of a type; one of `feature_types.LOGGED_TYPES`."""
    if value is None or dtype == "Bool":
        return value is None or isinstance(value, bool)
    return isinstance(value, _PYTHON[dtype]) and not isinstance(value, bool)
