"""What a udf gives, found by running it on samples when the plan is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.featurestore.compile.definition import Definition, suggestion
from headrace.featurestore.udfs.pandas_columns import from_pandas, kind_of
from headrace.featurestore.udfs.pandas_udf import PandasUdf
from headrace.schemas.avro import Column
from headrace.schemas.avro.columns import from_objects
from headrace.schemas.errors import RecordError
from headrace.schemas.feature_specs import ColumnKind, ColumnSpec, UdfSpec

_SAMPLES: dict[ColumnKind, list[Any]] = {
    "long": [1, 0, -3, 7, 120, 2],
    "double": [1.5, 0.0, -2.25, 7.0, 120.5, 0.125],
    "boolean": [True, False, False, True, True, False],
    "string": [b"a", b"", b"b c", b"7", b"a", b"Z"],
}
_SAMPLE_ROWS = 6
_SAMPLE_TIMES_MS = 1_700_000_000_000 + 61_007 * np.arange(_SAMPLE_ROWS)
_NEAR = 1e-12  # relative: vectors and single numbers may be computed by different instructions


@dataclass(frozen=True)
class _Result:
    """What the udf returns for some samples, and which of them its rows are."""

    frame: Any
    rows: list[int]


class UdfTrial:
    """Runs a udf on samples: all at once, each alone, and none."""

    def __init__(self, definition: Definition, udf: PandasUdf, spec: UdfSpec, keys: Sequence[str]) -> None:
        self._definition, self._udf, self._spec = definition, udf, spec
        self._columns = {column.name: self._sample(column, keys) for column in spec.inputs}
        every = list(range(_SAMPLE_ROWS))
        self._failure: Exception | None = None
        self._whole = self._run(every)
        self._alone = [self._run([row]) for row in every]
        self._none = self._run([])

    def outputs(self, names: Sequence[str]) -> tuple[ColumnSpec, ...]:
        """The columns of these names in its results."""
        results = [one for one in (self._whole, *self._alone, self._none) if one is not None]
        if not results:
            raise self._definition.error(
                f"it fails on every sample: {type(self._failure).__name__}: {self._failure}",
                f"Correct it; it is given {', '.join(self._columns)}",
            )
        found = tuple(ColumnSpec(name=name, kind=self._kind(name, results)) for name in names)
        self._check_row_wise(found)
        return found

    def _sample(self, column: ColumnSpec, keys: Sequence[str]) -> Column:
        values = list(_SAMPLES[column.kind])
        if column.name == self._udf.timestamp_field:
            values = (_SAMPLE_TIMES_MS * (1000 if self._udf.unit == "us" else 1)).tolist()
        elif column.nullable and column.name not in keys:
            values[-1] = None
        return from_objects(column.kind, values)

    def _run(self, rows: list[int]) -> _Result | None:
        at = np.array(rows, np.int64)
        given = {name: Column(c.values[at], c.valid[at]) for name, c in self._columns.items()}
        try:
            frame, kept = self._udf.result(100 + at, given)
        except RecordError as error:
            raise self._definition.error(str(error), "Return the DataFrame with its index") from error
        except Exception as error:
            self._failure = self._failure or error
            return None
        return _Result(frame, at[kept].tolist())

    def _kind(self, name: str, results: Sequence[_Result]) -> ColumnKind:
        kinds: set[ColumnKind] = set()
        for one in results:
            if name in one.frame.columns:
                kinds |= self._kinds_of(one.frame[name])
            elif len(one.frame):
                raise self._missing(name, one.frame)
        if not any(name in one.frame.columns for one in results):
            raise self._missing(name, results[0].frame)
        if kinds == {"long", "double"}:
            return "double"
        given = [column.kind for column in self._spec.inputs if column.name == name]
        if len(kinds) > 1:
            raise self._definition.error(
                f"column '{name}' is {' and '.join(sorted(kinds))}", "Make it one of them for every row"
            )
        if not (kinds or given):
            raise self._definition.error(
                f"no sample passes that tells the type of column '{name}'",
                f'End with df["{name}"] = df["{name}"].astype("float64"), or "int64", "bool", "string"',
            )
        return kinds.pop() if kinds else given[0]

    def _kinds_of(self, series: Any) -> set[ColumnKind]:
        try:
            kind = kind_of(series)
        except RecordError as error:
            raise self._definition.error(str(error), "Convert it with .astype(...)") from error
        return set() if kind is None else {kind}

    def _missing(self, name: str, frame: Any) -> Exception:
        return self._definition.error(
            f"it gives no column '{name}', which an aggregation is of",
            suggestion(name, map(str, frame.columns)),
        )

    def _check_row_wise(self, columns: Sequence[ColumnSpec]) -> None:
        if self._whole is None:
            return
        for row, alone in enumerate(self._alone):
            together = _row(self._whole, row, columns)
            single = None if alone is None else _row(alone, row, columns)
            if alone is None or not _are_near(together, single):
                found = f"failed with {self._failure!r}" if alone is None else f"gave {single}"
                raise self._definition.error(
                    f"it is not row-wise: a sample among others gave {together}, alone it {found}",
                    "Compute each row from that row alone; what is over several is for aggregations",
                )


def _row(result: _Result, row: int, columns: Sequence[ColumnSpec]) -> dict[str, Any] | None:
    """Values of one sample, None when it was dropped."""
    if row not in result.rows:
        return None
    at = result.rows.index(row)
    found = {column.name: from_pandas(result.frame[column.name], column.kind) for column in columns}
    return {name: column.values[at].item() if column.valid[at] else None for name, column in found.items()}


def _are_near(one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool:
    if one is None or other is None:
        return one is other
    return all(_is_near(one[name], other[name]) for name in one)


def _is_near(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return bool(np.isclose(one, other, rtol=_NEAR, atol=0))
    return bool(one == other)
