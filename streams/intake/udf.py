"""A view's udf on the records of a range: a filter and derived columns, judged row by row where it fails.

What a udf is, is none of the stream engine's business: it takes columns and gives columns, or raises. It runs
once per range. When it raises, the range is bisected down to the records that it raises on, each of which is
dead; so what becomes of a record does not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.avro import Column
from headrace.schemas.avro.columns import blank
from headrace.schemas.dead_letter import Kind
from headrace.schemas.errors import PlanError, RecordError
from headrace.schemas.feature_specs import ColumnKind, StreamViewSpec
from headrace.streams.columnar.batch import Batch
from headrace.streams.intake.value_checks import ValueChecks

Reasons = dict[int, tuple[Kind, str]]  # row to kind and reason
Rows = NDArray[np.int64]
_LONGEST = 1000  # characters of an exception that a dead letter repeats


@dataclass(frozen=True)
class Transformed:
    """What a udf made of n records.

    Attributes
    ----------
    rows
        Positions of the records it kept, int64, shape (m,), ascending.
    columns
        Name to values and validity, each of shape (m,).
    """

    rows: Rows
    columns: Mapping[str, Column]


class Transform(Protocol):
    """A udf: its result for a record depends on that record alone."""

    @property
    def name(self) -> str: ...

    def apply(self, offsets: Rows, columns: Mapping[str, Column]) -> Transformed:
        """Filter and derive.

        Parameters
        ----------
        offsets
            Offsets of n records, int64, shape (n,), ascending.
        columns
            The udf's inputs, each of shape (n,).

        Raises
        ------
        RecordError
            When its result cannot be used; the message says why.
        Exception
            Whatever the udf raises.
        """


@dataclass(frozen=True)
class Derived:
    """What became of a range in one view.

    `rows` and `columns` are as in `Transformed`, join keys among them; rows are those of the range. `dead`
    has the records that cannot be in the view.
    """

    rows: Rows
    columns: Mapping[str, Column]
    dead: Reasons

    def batch(self, kept: NDArray[np.bool_], event_ms: Rows, offsets: Rows) -> Batch:
        """Its records among those of the range that are accepted."""
        inside = kept[self.rows]
        rows = self.rows[inside]
        columns = {n: Column(c.values[inside], c.valid[inside]) for n, c in self.columns.items()}
        return Batch(event_ms[rows], offsets[rows], offsets[rows], columns)


class ViewUdf:
    """The udf of a view, as intake uses it.

    Parameters
    ----------
    view
        The view, which has a udf.
    transform
        What executes it. None: only ranges without records can be taken.
    """

    def __init__(self, view: StreamViewSpec, transform: Transform | None) -> None:
        assert view.udf is not None
        self.view, self._udf, self._transform = view, view.udf, transform
        self._inputs = [column.name for column in view.udf.inputs]
        self._keys = [key.name for key in view.join_keys]
        self._checks = ValueChecks.of([view])

    def derive(self, rows: Rows, offsets: Rows, columns: Mapping[str, Column]) -> Derived:
        """Run the udf on some rows of a range.

        Parameters
        ----------
        rows
            Positions in the range, ascending.
        offsets
            Of all records of the range.
        columns
            Fields of all records of the range.
        """
        dead: Reasons = {}
        parts = self._parts(rows, offsets, columns, dead)
        kept = np.concatenate([np.zeros(0, np.int64), *(part.rows for part in parts)])
        found = {
            spec.name: _joined([part.columns[spec.name] for part in parts], spec.kind)
            for spec in self._udf.outputs
        }
        for at, why in self._checks.failing(found):
            dead.setdefault(int(kept[at]), ("invalid", f"view '{self.view.name}': {why}"))
        found.update((name, _take(columns[name], kept)) for name in self._keys)
        return Derived(kept, found, dead)

    def _parts(
        self, rows: Rows, offsets: Rows, columns: Mapping[str, Column], dead: Reasons
    ) -> list[Transformed]:
        """Results of the largest parts of the range that it does not raise on, halved again and again."""
        found = []
        waiting = [rows] if len(rows) else []
        while waiting:
            part = waiting.pop()
            try:
                found.append(self._run(part, offsets, columns))
            except Exception as error:
                if len(part) == 1:
                    dead[int(part[0])] = ("udf", self._reason(error))
                    continue
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
        return found

    def _run(self, rows: Rows, offsets: Rows, columns: Mapping[str, Column]) -> Transformed:
        assert self._transform is not None
        given = {name: _take(columns[name], rows) for name in self._inputs}
        made = self._transform.apply(offsets[rows], given)
        return Transformed(rows[made.rows], made.columns)

    def _reason(self, error: Exception) -> str:
        assert self._transform is not None
        what = str(error) if isinstance(error, RecordError) else f"{type(error).__name__}: {error}"
        return f"view '{self.view.name}', udf '{self._transform.name}': {what[:_LONGEST]}"


def view_udfs(views: Sequence[StreamViewSpec], transforms: Mapping[str, Transform] | None) -> list[ViewUdf]:
    """The udfs of views that have one.

    Parameters
    ----------
    views
        The views.
    transforms
        What executes them, by the view's name. None: nothing will be executed.

    Raises
    ------
    PlanError
        When one is missing.
    """
    found = []
    for view in views:
        if view.udf is not None:
            if transforms is not None and view.name not in transforms:
                raise PlanError(
                    f"stream feature view '{view.name}' has a udf and this process was given none; "
                    "load it with `headrace.featurestore.udfs.loading`"
                )
            found.append(ViewUdf(view, (transforms or {}).get(view.name)))
    return found


def _take(column: Column, rows: Rows) -> Column:
    if len(rows) == len(column.values):  # rows ascend: all of them
        return column
    return Column(column.values[rows], column.valid[rows])


def _joined(columns: Sequence[Column], kind: ColumnKind) -> Column:
    if len(columns) == 1:
        return columns[0]
    return Column(
        np.concatenate([blank(kind, 0), *(column.values for column in columns)]),
        np.concatenate([np.zeros(0, np.bool_), *(column.valid for column in columns)]),
    )
