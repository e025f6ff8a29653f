"""Rows as callers have them, as columns: dicts, a dict of columns, a frame of pandas or pyarrow.

>>> rows = read_rows([{"user": 1, "score": 0.5}, {"user": 2}])
>>> rows.names, rows.count, rows.column("score")
(['user', 'score'], 2, [0.5, None])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from headrace.schemas.errors import RequestError

_NO_COLUMN = (str, bytes, bytearray, memoryview, AbstractSet)  # not a value per row
_TABLES = "Give a list of dicts, a dict of columns, or a frame of pandas or pyarrow"


@dataclass(frozen=True)
class PushedRows:
    """Rows of a table.

    Attributes
    ----------
    names
        Of the columns; one that is there twice, twice.
    count
        Number of rows.
    column
        Returns the values of a column as a list.
    """

    names: list[Any]
    count: int
    column: Callable[[str], list[Any]]


def read_rows(rows: Any, name: str = "rows") -> PushedRows:
    """Take rows for columns. No value is looked at, and no column read before it is asked for.

    A row without a column that others have is null there. A named index of pandas is a column, as for Feast.

    Parameters
    ----------
    rows
        A list of dicts, a dict of columns, or a frame.
    name
        What the rows are called in errors.

    Raises
    ------
    RequestError
        When `rows` is no table, or columns differ in length.
    """
    kind = type(rows)
    if kind.__module__.partition(".")[0] == "pyarrow" and hasattr(rows, "column"):
        return PushedRows(rows.schema.names, rows.num_rows, lambda name: list(rows.column(name).to_pylist()))
    if any(each.__name__ == "DataFrame" for each in kind.__mro__):  # without an import of pandas
        return _of_frame(rows)
    if isinstance(rows, Mapping):
        return _of_columns(rows, name)
    if isinstance(rows, Sequence) and not isinstance(rows, _NO_COLUMN):
        return _of_dicts(rows, name)
    raise RequestError(name, f"{_a(rows)} is no table", _TABLES)


def _of_frame(frame: Any) -> PushedRows:
    index = [name for name in getattr(getattr(frame, "index", None), "names", ()) if name is not None]

    def column(name: str) -> list[Any]:
        of_index = name in index and name not in frame.columns
        return list(_listed(frame.index.get_level_values(name) if of_index else frame[name]))

    return PushedRows([*frame.columns, *index], len(frame), column)


def _of_dicts(rows: Sequence[Any], called: str) -> PushedRows:
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise RequestError(f"{called}[{number}]", f"{_a(row)} is no row", _TABLES)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return PushedRows(names, len(rows), lambda name: [row.get(name) for row in rows])


def _of_columns(columns: Mapping[Any, Any], called: str) -> PushedRows:
    listed: dict[Any, list[Any]] = {}
    labels: list[Any] | None = None  # of rows, where columns are dicts, as `DataFrame.to_dict` makes them
    for name, values in columns.items():
        if isinstance(values, Mapping):
            labels = [*values] if labels is None else labels
            if values.keys() != dict.fromkeys(labels).keys():
                raise RequestError(f"{called}.{name}", "it has other rows than the column before it", _TABLES)
            values = [values[label] for label in labels]
        values = _listed(values)
        if not isinstance(values, list | tuple):
            raise RequestError(f"{called}.{name}", f"{_a(values)} is no column", _TABLES)
        listed[name] = list(values)
    lengths = {name: len(values) for name, values in listed.items()}
    count = next(iter(lengths.values()), 0)
    for name, length in lengths.items():
        if length != count:
            problem = f"it has {length} values, the first column {count}"
            raise RequestError(f"{called}.{name}", problem, "Give every column one value per row")
    return PushedRows([*listed], count, lambda name: listed[name])


def _listed(values: Any) -> Any:
    """Lists of arrays, series and pyarrow's arrays. Times of numpy stay as they are, whatever their unit."""
    if type(values).__name__ == "ndarray" and values.dtype.kind == "M":
        return list(values)
    for method in ("tolist", "to_pylist"):
        if callable(getattr(values, method, None)):
            return getattr(values, method)()
    return values


def _a(value: Any) -> str:
    """Return the type of a value, such as ``an int``."""
    name = type(value).__name__
    return f"a{'n' if name[:1].lower() in 'aeiou' else ''} {name}"
