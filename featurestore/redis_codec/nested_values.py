"""Values of maps, structs and lists in lists, checked against their declared type."""

from __future__ import annotations

import math
import re
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np

from headrace.schemas.nested_types import TypeTree

_ZONED = re.compile(r"(.+)\[([^\]]+)\]")  # RFC 9557
_WHOLE_NUMBERS = ("Int32", "Int64")
_PYTHON: dict[str, tuple[type, ...]] = {
    "Int32": (int,),
    "Int64": (int,),
    "Float32": (float, int),
    "Float64": (float, int),
    "String": (str,),
    "Json": (str,),
    "Uuid": (str, UUID),
    "TimeUuid": (str, UUID),
    "Decimal": (str, Decimal),
    "Bytes": (bytes,),
    "PdfBytes": (bytes,),
    "ImageBytes": (bytes,),
    "UnixTimestamp": (datetime,),
    "ZonedTimestamp": (datetime,),
}
# Kinds of numpy's dtypes that an array of each may have.
_NUMPY_KINDS = {
    "Int32": "if",
    "Int64": "if",
    "Float32": "if",
    "Float64": "if",
    "Bool": "b",
    "UnixTimestamp": "M",
}


def conform(declared: TypeTree, value: Any) -> Any:
    """Return a value of the declared type, its maps as dicts. A null is of any type.

    Raises
    ------
    ValueError
        When the value is of another type.

    Examples
    --------
    >>> from headrace.schemas.nested_types import parse_type
    >>> conform(parse_type("Struct({city: String, sizes: Array(Int64)})"), {"city": None, "sizes": [1, 2]})
    {'city': None, 'sizes': [1, 2]}
    >>> conform(parse_type("Map"), [["a", "b"]])
    {'a': 'b'}
    >>> conform(parse_type("Array(Int64)"), ["1"])
    Traceback (most recent call last):
    ValueError: '1' is no Int64
    """
    if value is None:
        return None
    if declared.name in ("Array", "Set"):
        return _conform_list(declared, value)
    if declared.name in ("Map", "ScalarMap"):
        return _conform_map(declared, value)
    if declared.name == "Struct":
        fields = dict(declared.parts)
        if not isinstance(value, dict) or not value.keys() <= fields.keys():
            raise ValueError(f"{value!r} is no {declared}")
        return {name: conform(fields[name], field) for name, field in value.items()}
    if not _is_scalar(declared.name, value):
        raise ValueError(f"{value!r} is no {declared}")
    return value


def zoned_time(text: str) -> datetime:
    """Read a time in ISO 8601, with the name of a zone behind it or without.

    >>> zoned_time("2026-01-01T00:00+00:00[Asia/Tokyo]").isoformat()
    '2026-01-01T09:00:00+09:00'
    """
    if (zoned := _ZONED.fullmatch(text)) is None:
        return datetime.fromisoformat(text)
    moment = datetime.fromisoformat(zoned[1])
    try:
        zone = ZoneInfo(zoned[2])
    except (KeyError, OSError) as error:
        raise ValueError(str(error)) from None
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)


def _is_scalar(name: str, value: Any) -> bool:
    if isinstance(value, bool) or name == "Bool":
        return isinstance(value, bool) and name == "Bool"
    if name in _WHOLE_NUMBERS and isinstance(value, float):  # as pandas has those beside a null
        return math.isnan(value) or value.is_integer()
    return isinstance(value, _PYTHON[name])


def _conform_list(declared: TypeTree, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        kind, element = value.dtype.kind, declared.element.name
        numbers = value[~np.isnan(value)] if kind == "f" else value
        is_whole = kind != "f" or element not in _WHOLE_NUMBERS or (numbers % 1 == 0).all()
        if kind not in _NUMPY_KINDS.get(element, "") or not is_whole:
            raise ValueError(f"{value.tolist()!r} is no {declared}")
        return value
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is no {declared}")
    return [conform(declared.element, element) for element in value]


def _conform_map(declared: TypeTree, value: Any) -> Any:
    """Take maps as such, or as lists of their entries.

    An entry is a struct of key and value, or a pair of texts, which is what pandas makes of Arrow's maps of
    texts.
    """
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        if all(isinstance(entry, dict) and entry.keys() == {"key", "value"} for entry in value):
            return {entry["key"]: entry["value"] for entry in value}
        if declared.name == "Map" and all(isinstance(entry, list) and len(entry) == 2 for entry in value):
            return dict(value)
    raise ValueError(f"{value!r} is no {declared}; give a map, or a list of structs of key and value")
