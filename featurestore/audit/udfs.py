"""The udfs of stream views for the audit: in pandas, on all events of a partition, before SQL sees them.

What a udf is given and must return is in ``docs/guides/udfs.md``; of the engine nothing is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

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
    """What the udfs of a source's views make of its events.

    Attributes
    ----------
    rows
        View to a table of the events it keeps: ``part``, ``pos``, and each derived column, ``f_`` before it.
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
    rows, failed = {}, [_places(0, [])]
    sound = _sound(plan, source, events)
    for view in plan.views_of(source.name):
        if view.udf is not None:
            made = [
                _Run(view, source, view.udf, functions[view.name], part).result()
                for part in _partitions(sound)
            ]
            empty = _table(view.udf, 0, [], {c.name: [] for c in view.udf.outputs})
            rows[view.name] = pa.concat_tables([empty, *(kept for kept, _ in made)])
            failed += [dead for _, dead in made]
    return DerivedEvents(rows, pa.concat_tables(failed))


def _sound(plan: Plan, source: SourceSpec, events: pa.Table) -> pa.Table:
    """The events that a udf is given: readable, with join keys and a time, and not from the future."""
    latest = pc.add(events["appended"], source.max_future_ms)
    good = pc.and_(pc.invert(events["broken"]), pc.is_null(events["mark"]))
    good = pc.and_(good, pc.less_equal(events["event_ms"], latest))
    for key in {key.name for view in plan.views_of(source.name) for key in view.join_keys}:
        good = pc.and_(good, pc.is_valid(events[f"f_{key}"]))
    return events.filter(good)


def _partitions(events: pa.Table) -> Iterator[pa.Table]:
    for part in pc.unique(events["part"]).to_pylist():
        yield events.filter(pc.equal(events["part"], part)).sort_by("pos")


class _Run:
    """One udf on the events of one partition, halved where it raises."""

    def __init__(
        self, view: StreamViewSpec, source: SourceSpec, udf: UdfSpec, function: Function, events: pa.Table
    ) -> None:
        self._udf, self._function = udf, function
        self._fixed = [*(key.name for key in view.join_keys), source.timestamp_field]
        self._time, self._unit = source.timestamp_field, source.timestamp_unit
        self._part = events["part"][0].as_py() if len(events) else 0
        positions = pd.Index(events["pos"].to_numpy(), name="offset")
        columns = {spec.name: self._column(events[f"f_{spec.name}"], spec) for spec in udf.inputs}
        self._frame = pd.DataFrame(columns, index=positions)

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

    def result(self) -> tuple[pa.Table, pa.Table]:
        """The events it keeps with their derived columns, and where those are that it fails on."""
        kept: list[int] = []
        values: dict[str, list[Any]] = {column.name: [] for column in self._udf.outputs}
        dead: list[int] = []
        waiting = [self._frame] if len(self._frame) else []
        while waiting:
            part = waiting.pop()
            try:
                positions, made = self._checked(part)
            except Exception:  # whatever the user's function raises
                if len(part) == 1:
                    dead.append(int(part.index[0]))
                else:
                    middle = len(part) // 2
                    waiting += [part.iloc[:middle], part.iloc[middle:]]
                continue
            kept += positions
            for name, column in made.items():
                values[name] += column
        failed = pa.table(
            {"part": pa.array([self._part] * len(dead), pa.int64()), "pos": pa.array(dead, pa.int64())}
        )
        return _table(self._udf, self._part, kept, values), failed

    def _checked(self, given: Any) -> tuple[list[int], dict[str, list[Any]]]:
        with pd.option_context("mode.chained_assignment", None):
            result = self._function(given.copy())
        if not isinstance(result, pd.DataFrame) or not result.columns.is_unique:
            raise TypeError("no DataFrame, or two columns of one name")
        positions = result.index.tolist()
        if not (result.index.is_unique and result.index.isin(given.index).all()):
            raise ValueError("rows that are none of the records, or one twice")
        if positions and result.index.name != "offset":
            raise ValueError("the index is lost")
        for name in self._fixed:
            if positions and name in result.columns:
                before = given.loc[result.index, name]
                if result[name].isna().any() or not (result[name] == before).all():
                    raise ValueError(f"{name} has changed")
        columns = {c.name: _values(result[c.name], c.kind) if positions else [] for c in self._udf.outputs}
        return positions, columns


def _table(udf: UdfSpec, part: int, positions: Sequence[int], values: Mapping[str, list[Any]]) -> pa.Table:
    columns = {f"f_{c.name}": pa.array(values[c.name], _ARROW[c.kind]) for c in udf.outputs}
    places = _places(part, positions)
    return pa.table({name: places[name] for name in places.column_names} | columns)


def _places(part: int, positions: Sequence[int]) -> pa.Table:
    return pa.table(
        {"part": pa.array([part] * len(positions), pa.int64()), "pos": pa.array(positions, pa.int64())}
    )


def _values(series: Any, kind: ColumnKind) -> list[Any]:
    return [None if pd.isna(value) else _value(value, kind) for value in series.tolist()]


def _value(value: Any, kind: ColumnKind) -> Any:
    """A value of a derived column.

    Raises
    ------
    TypeError, ValueError
        When it is not of this kind.
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
