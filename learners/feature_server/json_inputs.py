"""Values of JSON as the types of features have them: what `json_values` writes can be sent back.

>>> from_json("Bytes", "YWJj"), from_json("Array(Float64)", [1.5, "NaN"])
(b'abc', [1.5, nan])
>>> from_json("Int64", "x")
'x'
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from typing import Any

from headrace.schemas.feature_types import ValueType, element_type

_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _number(value: Any) -> Any:
    return _NUMBERS.get(value, value) if isinstance(value, str) else value


def _bytes(value: Any) -> Any:
    """Decode base64; other values stay, and are refused where they are checked."""
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else value
    except ValueError:
        return value


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "Float32": _number,
    "Float64": _number,
    **dict.fromkeys(("Bytes", "PdfBytes", "ImageBytes"), _bytes),
}


def from_json(dtype: ValueType, value: Any) -> Any:
    """Return a value of JSON as Python has it; one of another type as it is."""
    read = _READERS.get(element_type(dtype) or dtype)
    if read is None:
        return value
    if element_type(dtype) is None:
        return read(value)
    return [read(each) for each in value] if isinstance(value, list) else value


def column_from_json(dtype: ValueType, column: Any) -> Any:
    """Return a column: a list, or an object of values by row."""
    if isinstance(column, list):
        return [from_json(dtype, value) for value in column]
    if isinstance(column, dict):
        return {row: from_json(dtype, value) for row, value in column.items()}
    return column
