"""Columns of a decoded range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["long", "double", "boolean", "string"]
Rows = NDArray[np.int64]
MAX_STRING = 1024  # bytes; the widest a column of dtype S becomes, whatever a range holds

_DTYPES: Mapping[Kind, type] = {"long": np.int64, "double": np.float64, "boolean": np.bool_}


@dataclass(frozen=True)
class Column:
    """A field of `n` records.

    Attributes
    ----------
    values
        Shape (n,): int64 (long), float64 (double), bool (boolean) or dtype S (string: UTF-8, bytes, or the
        symbol of an enum). Zero or empty where `valid` is False.
    valid
        Shape (n,): False for null, and for records in error.
    """

    values: NDArray[Any]
    valid: NDArray[np.bool_]


@dataclass(frozen=True)
class Decoded:
    """A decoded range of `n` payloads.

    Attributes
    ----------
    columns
        A column of `n` rows per needed field.
    errors
        Reason why a payload could not be decoded, by row. Such rows are invalid in all columns.
    """

    columns: dict[str, Column]
    errors: dict[int, str]


def blank(kind: Kind, n: int, width: int = 1) -> NDArray[Any]:
    """Return `n` zeros, or empty strings of at most `width` bytes, of the dtype of a kind."""
    return np.zeros(n, f"S{width}" if kind == "string" else _DTYPES[kind])


def merge(kind: Kind, n: int, parts: Sequence[tuple[Rows, Column]]) -> Column:
    """Make a column of `n` rows from parts with their rows; rows that are in no part are null.

    Examples
    --------
    >>> part = Column(np.array([7, 8]), np.array([True, True]))
    >>> column = merge("long", 3, [(np.array([0, 2]), part)])
    >>> column.values.tolist(), column.valid.tolist()
    ([7, 0, 8], [True, False, True])
    """
    if len(parts) == 1 and len(parts[0][0]) == n:
        return _whole(kind, parts[0][1])
    width = max((c.values.dtype.itemsize for _, c in parts), default=1) if kind == "string" else 1
    values, valid = blank(kind, n, width), np.zeros(n, np.bool_)
    for rows, column in parts:
        values[rows], valid[rows] = column.values, column.valid
    return Column(values, valid)


def _whole(kind: Kind, column: Column) -> Column:
    if kind == "string":
        return column
    return Column(column.values.astype(_DTYPES[kind], copy=False), column.valid)


def from_objects(kind: Kind, objects: Sequence[Any]) -> Column:
    """Make a column from Python values: None for null, strings as bytes."""
    values, valid = objects, np.ones(len(objects), np.bool_)
    if None in objects:
        valid[:] = [value is not None for value in objects]
        missing = b"" if kind == "string" else 0
        values = [missing if value is None else value for value in objects]
    return Column(np.array(values, "S" if kind == "string" else _DTYPES[kind]), valid)
