r"""Single values of pushed rows, checked: each is of its declared type as it is, nothing is rounded or cut.

>>> SCALARS["Int64"](3.0), SCALARS["String"]("é"), SCALARS["Decimal"](Decimal("1.50"))
(3, b'\xc3\xa9', b'1.50')
>>> SCALARS["Float32"](1e39)
Traceback (most recent call last):
OverflowError: float too large to pack with f format
>>> SCALARS["UnixTimestamp"]("2024-01-01T00:00:00+01:00")
1704063600000
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from headrace.schemas.feature_types import ValueType
from headrace.schemas.json_nesting import parse_json

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_COARSE = tuple(f"datetime64[{unit}]" for unit in ("Y", "M", "W", "D", "h", "m", "s", "ms"))  # may overflow
_EARLIEST_S, _LATEST_S = -62_135_596_800, 253_402_300_799  # years 1 to 9999


def native(value: Any) -> Any:
    """Return a scalar of numpy as Python has it, and every other value as it is.

    Raises
    ------
    ValueError
        When a time of numpy is beyond those of Python.
    """
    if type(value).__module__ != "numpy" or not hasattr(value, "item") or getattr(value, "ndim", False):
        return value
    if type(value).__name__ != "datetime64":
        return value.item()
    moment = value.astype("M8[us]")
    if str(value.dtype) in _COARSE and value == value and moment.astype(value.dtype) != value:
        raise ValueError("an overflow")
    return moment.item()


def is_null(value: Any) -> bool:
    """Whether a value is None or NaN, or pandas' NaT or NA."""
    if isinstance(value, float):
        return math.isnan(value)
    if isinstance(value, Decimal):
        return value.is_nan()
    return value is None or type(value).__name__ in ("NaTType", "NAType")  # without an import of pandas


def instant_us(value: Any) -> int:
    """Return a time as epoch microseconds, rounded down; without a zone it is UTC.

    Raises
    ------
    TypeError, ValueError
        When it is neither a datetime, nor a date, nor text in ISO 8601.
    """
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        raise TypeError("no time")
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    return int((moment - _EPOCH) // _MICROSECOND)


def seconds_in_list(value: Any) -> int:
    """Return a time in a list as epoch milliseconds of a whole second, rounded toward 1970, as Feast does."""
    time_us = _time_us(value)
    return time_us // 1_000_000 * 1000 if time_us >= 0 else -(-time_us // 1_000_000 * 1000)


def seconds_in_set(value: Any) -> int:
    """Return a time in a set as epoch milliseconds of a whole second, rounded down, as Feast does."""
    return _time_us(value) // 1_000_000 * 1000


def _time_us(value: Any) -> int:
    """Epoch microseconds of a time; whole numbers are seconds since 1970."""
    time_us = 1_000_000 * _whole(value, 63) if isinstance(value, int | float) else instant_us(value)
    if not _EARLIEST_S <= time_us // 1_000_000 <= _LATEST_S:
        raise ValueError("not between the years 1 and 9999")
    return time_us


def _time_ms(value: Any) -> int:
    return _time_us(value) // 1000


def _whole(value: Any, bits: int) -> int:
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not is_whole or not -(1 << bits) <= value < 1 << bits:
        raise ValueError("no whole number of so many bits")
    return int(value)


def _floating(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("no number")
    return float(value)


def _single(value: Any) -> float:
    number = _floating(value)
    struct.pack("<f", number)  # refuses what would become infinite
    return number


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("no boolean")
    return value


def _text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value.encode()


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError("no bytes")
    return bytes(value)


def _json(value: Any) -> bytes:
    """Text of JSON as it is, what is no text as JSON."""
    text = value if isinstance(value, str) else json.dumps(value)
    parse_json(text)
    return text.encode()


def _uuid(value: Any) -> bytes:
    if not isinstance(value, UUID):
        UUID(value)
    return str(value).encode()


def _decimal(value: Any) -> bytes:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise TypeError("no decimal")
    if isinstance(value, str):
        Decimal(value)
    return str(value).encode()


SCALARS: dict[ValueType, Callable[[Any], Any]] = {
    "Int32": partial(_whole, bits=31),
    "Int64": partial(_whole, bits=63),
    "Float32": _single,
    "Float64": _floating,
    "Bool": _boolean,
    "String": _text,
    "UnixTimestamp": _time_ms,
    "Bytes": _bytes,
    "PdfBytes": _bytes,
    "ImageBytes": _bytes,
    "Json": _json,
    "Uuid": _uuid,
    "TimeUuid": _uuid,
    "Decimal": _decimal,
}
