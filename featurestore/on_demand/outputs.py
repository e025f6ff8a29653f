"""Output of a function of an on-demand view, held to what the view declares.

A function is anyone's code and may return anything, objects that raise when they are looked at among it.
What is wrong is said by an `OutputError`, or by whatever such an object raises.

>>> columns_of({"y": [1, 2]}, ["y"], "v", 2)
{'y': [1, 2]}
>>> columns_of([1, 2], ["y"], "v", 2)
Traceback (most recent call last):
headrace.featurestore.on_demand.outputs.OutputError: gives a list
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any

_NO_COLUMN = (str, bytes, bytearray, memoryview, AbstractSet)  # iterable, but not a value per row
_COLUMNS = "Return a DataFrame, or a dict of columns"
_LISTED = 20  # names
_SHOWN = 200  # characters of a value or an exception


class OutputError(Exception):
    """The output is not what the view declares. `problem` follows on "its function"."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy


def columns_of(outputs: Any, features: Sequence[str], view: str, rows: int) -> dict[str, list[Any]]:
    """Return the columns of features out of the output for all rows.

    Parameters
    ----------
    outputs
        A DataFrame, or a mapping of names to columns. A name is that of the feature, or ``view__feature``.
    view
        Name of the view.

    Raises
    ------
    OutputError
        When it is something else, lacks a feature, or has not one value per row.
    """
    names = _names(outputs)
    if names is None:
        raise OutputError(f"gives {_kind(outputs)}", _COLUMNS)
    columns = {}
    for feature in features:
        name = _name(feature, view, names)
        if name is None:
            raise OutputError(f"gives no '{feature}'", f"Known: {_list(names)}")
        if names.count(name) > 1:
            raise OutputError(f"gives '{name}' twice", "Give one column of that name")
        columns[feature] = _column(outputs[name], feature, rows)
    return columns


def row_of(output: Any, features: Sequence[str], view: str) -> dict[str, Any]:
    """Return the features out of the output for one row: all, or none of them where it is empty.

    Raises
    ------
    OutputError
        When it is no mapping, or has some of the features.
    """
    if type(output) is dict:
        try:
            return {feature: output[feature] for feature in features}
        except KeyError:
            pass
    if not isinstance(output, Mapping):
        raise OutputError(f"gives {_kind(output)}", "Return a dict of one value per feature")
    names = [*output]
    if not names:
        return dict.fromkeys(features)
    values = {}
    for feature in features:
        name = _name(feature, view, names)
        if name is None:
            raise OutputError(f"gives no '{feature}'", f"Known: {_list(names)}")
        values[feature] = output[name]
    return values


def shown(value: object) -> str:
    """Show a value or an exception, shortened; its type where that cannot be had."""
    try:
        text = str(value)
    except Exception:
        return f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _list(names: Sequence[Any]) -> str:
    return shown(", ".join(shown(name) for name in names[:_LISTED])) or "none"


def _names(outputs: Any) -> list[Any] | None:
    """The names of columns; None of what has no columns."""
    if isinstance(outputs, Mapping):
        return [*outputs]
    if any(kind.__name__ == "DataFrame" for kind in type(outputs).__mro__):  # without an import of pandas
        return list(outputs.columns)
    return None


def _name(feature: str, view: str, names: Sequence[Any]) -> str | None:
    return next((name for name in (feature, f"{view}__{feature}") if name in names), None)


def _column(values: Any, feature: str, rows: int) -> list[Any]:
    values = _listed(values)
    if isinstance(values, _NO_COLUMN) or not isinstance(values, Iterable) or _names(values) is not None:
        raise OutputError(f"gives {_kind(values)} for '{feature}'", "Give a list with one value per row")
    column = list(islice(values, rows + 1))  # it may be without end
    if len(column) != rows:
        count = len(values) if isinstance(values, Sized) else "more" if len(column) > rows else len(column)
        raise OutputError(f"gives {count} values of '{feature}' for {rows} rows", "Give one per row")
    return column


def _listed(values: Any) -> Any:
    """Lists of arrays and series. Times of numpy become datetimes, whatever their unit."""
    if not callable(getattr(values, "tolist", None)):
        return values
    if type(values).__name__ == "ndarray" and values.dtype.kind == "M":
        values = values.astype("M8[us]")
    return values.tolist()


def _kind(value: object) -> str:
    name = type(value).__name__
    return "nothing" if value is None else f"a{'n' if name[:1] in 'aeiou' else ''} {name}"
