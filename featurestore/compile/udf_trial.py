"""Trial of a udf: run on samples when the plan is made, to learn the columns that it derives."""

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
_FIRST_OFFSET = 100
_NEAR = 1e-12  # relative: vectors and single numbers may be computed by different instructions


@dataclass(frozen=True)
class _Result:
    """A DataFrame that the udf returned, and the samples that its rows are of."""

    frame: Any
    samples: list[int]


class UdfTrial:
    """Runs a udf on samples: all at once, each alone, and none.

    Parameters
    ----------
    definition
        The udf, for its errors.
    udf
        Its executor.
    spec
        Its inputs; outputs are still unknown.
    keys
        Names of the join keys, which are never null.

    Raises
    ------
    DefinitionError
        When a result is none that a udf may return.
    """

    def __init__(self, definition: Definition, udf: PandasUdf, spec: UdfSpec, keys: Sequence[str]) -> None:
        self._definition, self._udf, self._spec = definition, udf, spec
        self._columns = {column.name: self._sample(column, keys) for column in spec.inputs}
        self._failure: Exception | None = None
        self._together = self._run(list(range(_SAMPLE_ROWS)))
        self._alone = [self._run([sample]) for sample in range(_SAMPLE_ROWS)]
        self._of_none = self._run([])

    def outputs(self, names: Sequence[str]) -> tuple[ColumnSpec, ...]:
        """Return the columns of these names, with the kinds that the results have.

        Raises
        ------
        DefinitionError
            When the udf fails on every sample, lacks a column, gives one of no single kind, or is not
            row-wise.
        """
        results = [r for r in (self._together, *self._alone, self._of_none) if r is not None]
        if not results:
            raise self._definition.error(
                f"it fails on every sample: {type(self._failure).__name__}: {self._failure}",
                f"Correct it; it is given {', '.join(self._columns)}",
            )
        columns = tuple(ColumnSpec(name=name, kind=self._kind(name, results)) for name in names)
        self._check_row_wise(columns)
        return columns

    def _sample(self, column: ColumnSpec, keys: Sequence[str]) -> Column:
        values = list(_SAMPLES[column.kind])
        if column.name == self._udf.timestamp_field:
            values = (_SAMPLE_TIMES_MS * (1000 if self._udf.unit == "us" else 1)).tolist()
        elif column.nullable and column.name not in keys:
            values[-1] = None
        return from_objects(column.kind, values)

    def _run(self, samples: list[int]) -> _Result | None:
        """Run the udf on some samples; None when the function raises."""
        numbers = np.array(samples, np.int64)
        given = {name: Column(c.values[numbers], c.valid[numbers]) for name, c in self._columns.items()}
        try:
            frame, rows = self._udf.result(_FIRST_OFFSET + numbers, given)
        except RecordError as error:
            raise self._definition.error(str(error), "Return the DataFrame with its index") from error
        except Exception as error:  # whatever the user's function raises
            self._failure = self._failure or error
            return None
        return _Result(frame, numbers[rows].tolist())

    def _kind(self, name: str, results: Sequence[_Result]) -> ColumnKind:
        """The kind of a column in all results; where they do not show it, that of the input of this name."""
        kinds = self._kinds(name, results)
        if kinds == {"long", "double"}:
            return "double"
        if len(kinds) > 1:
            raise self._definition.error(
                f"column '{name}' is {' and '.join(sorted(kinds))}", "Make it one of them for every row"
            )
        kinds = kinds or {column.kind for column in self._spec.inputs if column.name == name}
        if not kinds:
            raise self._definition.error(
                f"no sample passes that tells the type of column '{name}'",
                f'End with df["{name}"] = df["{name}"].astype("float64"), or "int64", "bool", "string"',
            )
        return kinds.pop()

    def _kinds(self, name: str, results: Sequence[_Result]) -> set[ColumnKind]:
        kinds: set[ColumnKind] = set()
        for result in results:
            if name in result.frame.columns:
                kinds |= self._kind_of_series(result.frame[name])
            elif len(result.frame):
                raise self._missing(name, result.frame)
        if not any(name in result.frame.columns for result in results):
            raise self._missing(name, results[0].frame)
        return kinds

    def _kind_of_series(self, series: Any) -> set[ColumnKind]:
        """The kind of one result's column; none where it has no values to show it."""
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
        """Refuse a udf that gives a sample another result alone than among others."""
        if self._together is None:
            return
        for sample, result in enumerate(self._alone):
            together = _values(self._together, sample, columns)
            alone = None if result is None else _values(result, sample, columns)
            if result is None or not _is_near(together, alone):
                outcome = f"failed with {self._failure!r}" if result is None else f"gave {alone}"
                raise self._definition.error(
                    f"it is not row-wise: a sample among others gave {together}, alone it {outcome}",
                    "Compute each row from that row alone; what is over several is for aggregations",
                )


def _values(result: _Result, sample: int, columns: Sequence[ColumnSpec]) -> dict[str, Any] | None:
    """The values of one sample; None when the udf dropped it."""
    if sample not in result.samples:
        return None
    row = result.samples.index(sample)
    converted = {column.name: from_pandas(result.frame[column.name], column.kind) for column in columns}
    return {name: c.values[row].item() if c.valid[row] else None for name, c in converted.items()}


def _is_near(left: Any, right: Any) -> bool:
    """Whether values, or rows of values, are equal up to rounding."""
    if isinstance(left, dict) and isinstance(right, dict):
        return all(_is_near(left[name], right[name]) for name in left)
    if isinstance(left, float) and isinstance(right, float):
        return bool(np.isclose(left, right, rtol=_NEAR, atol=0))
    return bool(left == right)
