"""Feature values as the prediction log holds them, and back: a time there is epoch milliseconds.

>>> seen = datetime(2013, 1, 1, 5, tzinfo=UTC)
>>> to_logged(seen), to_logged(2.5)
(1357016400000, 2.5)
>>> from_logged("UnixTimestamp", 1357016400000) == seen
True
>>> fits("Int64", 3), fits("Int64", 2.5), fits("Int64", None)
(True, False, True)
"""

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
    """Convert a time to epoch milliseconds; return every other value unchanged."""
    return round(value.timestamp() * 1000) if isinstance(value, datetime) else value


def from_logged(dtype: ValueType, value: Value) -> Any:
    """Convert a logged value back to the feature or request field that was logged."""
    if dtype == "UnixTimestamp" and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC)
    return value


def fits(dtype: ValueType, value: Value) -> bool:
    """Whether a logged value is null or of a type, which is one of `feature_types.LOGGED_TYPES`."""
    if value is None or dtype == "Bool":
        return value is None or isinstance(value, bool)
    return isinstance(value, _PYTHON[dtype]) and not isinstance(value, bool)
