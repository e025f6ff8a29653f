"""The udfs of stream views for the audit: in pandas, on all events of a partition, before SQL reads them.

``docs/guides/udfs.md`` says what a udf is given and must return. Nothing of the engine is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from headrace.featurestore.audit.bisection import bisected
from headrace.schemas.event_times import EARLIEST_MS, LATEST_MS
from headrace.schemas.feature_specs import ColumnKind, ColumnSpec, SourceSpec, StreamViewSpec, UdfSpec
from headrace.schemas.plan import Plan

Function = Callable[[Any], Any]
_ARROW: dict[ColumnKind, pa.DataType] = {
    "long": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
}
_EXACT = 2**53
_TEXT_BYTES = 1024


@dataclass(frozen=True)
class DerivedEvents:
    """The results of the udfs of a source's views.

    Attributes
    ----------
    rows
        By view, the events that its udf keeps: ``part``, ``pos``, and ``f_NAME`` for each derived column.
    failed
        ``part`` and ``pos`` of the events that a udf fails on.
    """

    rows: Mapping[str, pa.Table]
    failed: pa.Table


def derive(
    plan: Plan, source: SourceSpec, events: pa.Table, functions: Mapping[str, Function]
) -> DerivedEvents:
    """Run the udfs of a source's views.

    Parameters
    ----------
    events
        Table of `headrace.featurestore.audit.raw_events.raw_table`.
    functions
        The udfs, by the name of their view.
    """
    partitions = [*_partitions(_readable(plan, source, events))]
    rows, failed = {}, [_positions(0, [])]
    for view in plan.views_of(source.name):
        if view.udf is not None:
            udf = _AuditedUdf(view, source, view.udf, functions[view.name])
            results = [udf.run(partition) for partition in partitions]
            rows[view.name] = pa.concat_tables([udf.no_rows(), *(kept for kept, _ in results)])
            failed += [dead for _, dead in results]
    return DerivedEvents(rows, pa.concat_tables(failed))


def _readable(plan: Plan, source: SourceSpec, events: pa.Table) -> pa.Table:
    """The events that a udf is given: decoded, with join keys and a time, and not from the future."""
    latest = pc.add(events["appended"], source.max_future_ms)
    readable = pc.and_(pc.invert(events["broken"]), pc.is_null(events["mark"]))
    readable = pc.and_(readable, pc.less_equal(events["event_ms"], latest))
    readable = pc.and_(readable, pc.less_equal(events["event_ms"], LATEST_MS))
    readable = pc.and_(readable, pc.greater_equal(events["event_ms"], EARLIEST_MS))
    for key in {key.name for view in plan.views_of(source.name) for key in view.join_keys}:
        readable = pc.and_(readable, pc.is_valid(events[f"f_{key}"]))
    return events.filter(readable)


def _partitions(events: pa.Table) -> Iterator[pa.Table]:
    for part in pc.unique(events["part"]).to_pylist():
        yield events.filter(pc.equal(events["part"], part)).sort_by("pos")


class _AuditedUdf:
    """The udf of one view."""

    def __init__(self, view: StreamViewSpec, source: SourceSpec, udf: UdfSpec, function: Function) -> None:
        self._udf, self._function = udf, function
        self._fixed = [*(key.name for key in view.join_keys), source.timestamp_field]
        self._time, self._unit = source.timestamp_field, source.timestamp_unit

    def run(self, events: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Derive the rows of one partition, and the positions of the events that the udf fails on."""
        part, frame = events["part"][0].as_py(), self._frame(events)
        failed: list[int] = []
        kept: list[int] = []
        derived: dict[str, list[Any]] = {column.name: [] for column in self._udf.outputs}
        for rows, result in bisected(len(frame), lambda rows: self._call(frame.iloc[rows])):
            if isinstance(result, Exception):
                failed.append(int(frame.index[rows.start]))
                continue
            positions, columns = result
            kept += positions
            for name, values in columns.items():
                derived[name] += values
        return self._table(part, kept, derived), _positions(part, failed)

    def no_rows(self) -> pa.Table:
        """The table of rows of no events."""
        return self._table(0, [], {column.name: [] for column in self._udf.outputs})

    def _frame(self, events: pa.Table) -> Any:
        index = pd.Index(events["pos"].to_numpy(), name="offset")
        columns = {spec.name: self._column(events[f"f_{spec.name}"], spec) for spec in self._udf.inputs}
        return pd.DataFrame(columns, index=index)

    def _column(self, values: pa.ChunkedArray, spec: ColumnSpec) -> Any:
        if spec.name == self._time:
            raw = values.to_numpy().astype(np.int64).view(f"M8[{self._unit}]")
            return pd.DatetimeIndex(raw, tz="UTC")
        if spec.kind == "double":
            return values.to_pandas().to_numpy(np.float64)
        if spec.kind == "string":
            return np.array([*values.to_pylist(), None], object)[:-1]
        dtypes = ("Int64", "int64") if spec.kind == "long" else ("boolean", "bool")
        return pd.array(values.to_pylist(), dtypes[0] if spec.nullable else dtypes[1])

    def _call(self, events: Any) -> tuple[list[int], dict[str, list[Any]]]:
        """Call the udf; the positions of the rows of its result, and its derived columns.

        Raises
        ------
        Exception
            Whatever the function raises, or because its result is none that a udf may have.
        """
        with pd.option_context("mode.chained_assignment", None):
            result = self._function(events.copy())
        if not isinstance(result, pd.DataFrame) or not result.columns.is_unique:
            raise TypeError("no DataFrame, or two columns of one name")
        positions = result.index.tolist()
        if not (result.index.is_unique and result.index.isin(events.index).all()):
            raise ValueError("rows that are none of the records, or one twice")
        if not positions:
            return [], {column.name: [] for column in self._udf.outputs}
        if result.index.name != "offset":
            raise ValueError("the index is lost")
        for name in self._fixed:
            if name in result.columns:
                before = events.loc[result.index, name]
                if result[name].isna().any() or not (result[name] == before).all():
                    raise ValueError(f"{name} has changed")
        return positions, {c.name: _values(result[c.name], c.kind) for c in self._udf.outputs}

    def _table(self, part: int, positions: Sequence[int], derived: Mapping[str, list[Any]]) -> pa.Table:
        table = _positions(part, positions)
        for column in self._udf.outputs:
            values = pa.array(derived[column.name], _ARROW[column.kind])
            table = table.append_column(f"f_{column.name}", values)
        return table


def _positions(part: int, positions: Sequence[int]) -> pa.Table:
    return pa.table(
        {"part": pa.array([part] * len(positions), pa.int64()), "pos": pa.array(positions, pa.int64())}
    )


def _values(series: Any, kind: ColumnKind) -> list[Any]:
    return [None if pd.isna(value) else _value(value, kind) for value in series.tolist()]


def _value(value: Any, kind: ColumnKind) -> Any:
    """Convert a value of a derived column.

    Raises
    ------
    TypeError, ValueError
        When it is not of this kind.

    Examples
    --------
    >>> _value(3.0, "long")
    3
    >>> _value(3.5, "long")
    Traceback (most recent call last):
    TypeError: 3.5 is no long
    """
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool) or kind == "boolean":
        if kind == "boolean" and isinstance(value, bool):
            return value
    elif kind == "string":
        if isinstance(value, str) and len(value.encode()) <= _TEXT_BYTES and not value.endswith("\0"):
            return value
    elif kind == "double" and isinstance(value, int | float):
        return float(value)
    elif isinstance(value, int) and abs(value) < 2**63:
        return value
    elif isinstance(value, float) and abs(value) < _EXACT and value.is_integer():
        return int(value)
    raise TypeError(f"{value!r} is no {kind}")
