"""Udfs of views on the records of a range: a filter and derived columns.

A udf takes columns and returns columns, or raises; the stream engine knows no more of it. It runs once per
range. When it raises, the range is bisected down to the records on which it raises, which are dead: the fate
of a record does not depend on its neighbours.
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
_REASON_LENGTH = 1000  # characters of an exception that a dead letter repeats


@dataclass(frozen=True)
class Transformed:
    """The result of a udf for n records.

    Attributes
    ----------
    rows
        Positions of the records that it keeps, int64, shape (m,), ascending.
    columns
        Name to values and validity, each of shape (m,).
    """

    rows: Rows
    columns: Mapping[str, Column]


class Transform(Protocol):
    """A udf, whose result for a record depends on that record alone."""

    @property
    def name(self) -> str: ...

    def apply(self, offsets: Rows, columns: Mapping[str, Column]) -> Transformed:
        """Filter records, and derive columns.

        Parameters
        ----------
        offsets
            Offsets of n records, int64, shape (n,), ascending.
        columns
            The udf's inputs, each of shape (n,).

        Raises
        ------
        RecordError
            When the result cannot be used; the message says why.
        Exception
            Whatever the udf raises.
        """


@dataclass(frozen=True)
class Derived:
    """The records of a range in one view.

    Attributes
    ----------
    rows
        Rows of the range that the view's udf keeps, int64, shape (m,), ascending.
    columns
        Name to values and validity, each of shape (m,); join keys among them.
    dead
        Row to kind and reason, of the records on which the udf failed.
    """

    rows: Rows
    columns: Mapping[str, Column]
    dead: Reasons

    def batch(self, kept: NDArray[np.bool_], event_ms: Rows, offsets: Rows) -> Batch:
        """Return the records that are accepted.

        Parameters
        ----------
        kept
            Which records of the range are accepted, shape (n,).
        event_ms, offsets
            Of all records of the range, shape (n,).
        """
        inside = kept[self.rows]
        rows = self.rows[inside]
        columns = {n: Column(c.values[inside], c.valid[inside]) for n, c in self.columns.items()}
        return Batch(event_ms[rows], offsets[rows], offsets[rows], columns)


class ViewUdf:
    """The udf of a view, run on ranges.

    Parameters
    ----------
    view
        A view with a udf.
    transform
        The udf. None: only ranges without records can be taken.
    """

    def __init__(self, view: StreamViewSpec, transform: Transform | None) -> None:
        assert view.udf is not None
        self.view, self._udf, self._transform = view, view.udf, transform
        self._inputs = [column.name for column in view.udf.inputs]
        self._keys = [key.name for key in view.join_keys]
        self._checks = ValueChecks.of([view])

    def derive(self, rows: Rows, offsets: Rows, columns: Mapping[str, Column]) -> Derived:
        """Run the udf on rows of a range.

        Parameters
        ----------
        rows
            Rows of the range, ascending.
        offsets
            Offsets of all records of the range, shape (n,).
        columns
            Fields of all records of the range, shape (n,).
        """
        dead: Reasons = {}
        results = self._bisect(rows, offsets, columns, dead)
        kept = np.concatenate([np.zeros(0, np.int64), *(result.rows for result in results)])
        derived = {
            spec.name: _joined([result.columns[spec.name] for result in results], spec.kind)
            for spec in self._udf.outputs
        }
        for row, why in self._checks.failing(derived):
            dead.setdefault(int(kept[row]), ("invalid", f"view '{self.view.name}': {why}"))
        derived.update((name, _take(columns[name], kept)) for name in self._keys)
        return Derived(kept, derived, dead)

    def _bisect(
        self, rows: Rows, offsets: Rows, columns: Mapping[str, Column], dead: Reasons
    ) -> list[Transformed]:
        """Return results of parts of the range: a part on which the udf raises is halved."""
        results = []
        waiting = [rows] if len(rows) else []
        while waiting:
            part = waiting.pop()
            try:
                results.append(self._run(part, offsets, columns))
            except (Exception, SystemExit) as error:  # whatever the user's function raises
                if len(part) == 1:
                    dead[int(part[0])] = ("udf", self._reason(error))
                    continue
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
        return results

    def _run(self, rows: Rows, offsets: Rows, columns: Mapping[str, Column]) -> Transformed:
        assert self._transform is not None
        inputs = {name: _take(columns[name], rows) for name in self._inputs}
        result = self._transform.apply(offsets[rows], inputs)
        return Transformed(rows[result.rows], result.columns)

    def _reason(self, error: Exception | SystemExit) -> str:
        assert self._transform is not None
        what = str(error) if isinstance(error, RecordError) else f"{type(error).__name__}: {error}"
        return f"view '{self.view.name}', udf '{self._transform.name}': {what[:_REASON_LENGTH]}"


def view_udfs(views: Sequence[StreamViewSpec], transforms: Mapping[str, Transform] | None) -> list[ViewUdf]:
    """Return the udfs of those views that have one.

    Parameters
    ----------
    views
        The views.
    transforms
        The udfs by view. None: nothing will be run.

    Raises
    ------
    PlanError
        When one is missing.
    """
    udfs = []
    for view in views:
        if view.udf is not None:
            if transforms is not None and view.name not in transforms:
                raise PlanError(
                    f"stream feature view '{view.name}' has a udf and this process was given none; "
                    "load it with `headrace.featurestore.udfs.loading`"
                )
            udfs.append(ViewUdf(view, (transforms or {}).get(view.name)))
    return udfs


def _take(column: Column, rows: Rows) -> Column:
    if len(rows) == len(column.values):  # rows ascend: it is all of them
        return column
    return Column(column.values[rows], column.valid[rows])


def _joined(columns: Sequence[Column], kind: ColumnKind) -> Column:
    if len(columns) == 1:
        return columns[0]
    return Column(
        np.concatenate([blank(kind, 0), *(column.values for column in columns)]),
        np.concatenate([np.zeros(0, np.bool_), *(column.valid for column in columns)]),
    )
