"""Executes a udf in pandas mode: columns to a DataFrame, through the user's function, and back to columns.

The index of the DataFrame, named ``offset``, identifies the record of a row. A result may have fewer rows, in
any order, and any columns. It keeps that index, and the values of join keys and event time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from headrace.featurestore.udfs.pandas_columns import from_pandas, to_datetimes, to_pandas
from headrace.schemas.avro import Column
from headrace.schemas.errors import RecordError
from headrace.schemas.feature_specs import ColumnSpec, SourceSpec, StreamViewSpec, UdfSpec
from headrace.streams.intake.udf import Rows, Transformed

INDEX = "offset"


class PandasUdf:
    """Executes the udf of one view.

    Parameters
    ----------
    function
        Takes a DataFrame of records and returns one.
    spec
        The columns it takes, and the columns of its result that are aggregated.
    join_keys
        Names of the columns that it must not change, beside the event time.
    timestamp_field, unit
        The column with the event time, and its unit.
    """

    def __init__(
        self,
        function: FunctionType,
        spec: UdfSpec,
        join_keys: Sequence[str],
        timestamp_field: str,
        unit: Literal["ms", "us"],
    ) -> None:
        self._function, self._spec = function, spec
        self.timestamp_field, self.unit = timestamp_field, unit
        self._fixed = [c for c in spec.inputs if c.name in (*join_keys, timestamp_field)]
        self.name = function.__name__

    @classmethod
    def of(cls, view: StreamViewSpec, source: SourceSpec, function: FunctionType) -> PandasUdf:
        """The executor of the udf of a plan's view."""
        assert view.udf is not None
        keys = [key.name for key in view.join_keys]
        return cls(function, view.udf, keys, source.timestamp_field, source.timestamp_unit)

    def apply(self, offsets: Rows, columns: Mapping[str, Column]) -> Transformed:
        """See `headrace.streams.intake.udf.Transform`."""
        result, rows = self.result(offsets, columns)
        if not len(result):
            result = pd.DataFrame({column.name: [] for column in self._spec.outputs}, dtype=object)
        outputs = {}
        for column in self._spec.outputs:
            if column.name not in result.columns:
                raise RecordError(f"its result has no column '{column.name}'")
            outputs[column.name] = from_pandas(result[column.name], column.kind)
        return Transformed(rows, outputs)

    def result(self, offsets: Rows, columns: Mapping[str, Column]) -> tuple[Any, Rows]:
        """Call the function; return its result in the order of the records, and the positions of its rows.

        Raises
        ------
        RecordError
            When the index is lost, or a join key or event time has changed.
        Exception
            Whatever the function raises.
        """
        with pd.option_context("mode.chained_assignment", None):  # the frame is the function's own
            result = self._function(self._frame(offsets, columns))
        if not isinstance(result, pd.DataFrame):
            raise RecordError(f"its result is a {type(result).__name__}, not a DataFrame")
        if not result.columns.is_unique:
            raise RecordError(f"its result has two columns of one name: {list(map(str, result.columns))}")
        rows = _rows_of(result, offsets)
        if len(rows) > 1 and (np.diff(rows) < 0).any():
            order = np.argsort(rows, kind="stable")
            result, rows = result.iloc[order], rows[order]
        if len(rows) > 1 and (np.diff(rows) == 0).any():
            raise RecordError("its result has a record twice; a record is one row or none")
        self._check_fixed(result, rows, columns)
        return result, rows

    def _frame(self, offsets: Rows, columns: Mapping[str, Column]) -> Any:
        data = {
            spec.name: to_datetimes(columns[spec.name].values, self.unit)
            if spec.name == self.timestamp_field
            else to_pandas(columns[spec.name], spec)
            for spec in self._spec.inputs
        }
        return pd.DataFrame(data, index=pd.Index(offsets, name=INDEX), copy=True)  # it may be written to

    def _check_fixed(self, result: Any, rows: Rows, columns: Mapping[str, Column]) -> None:
        if not len(rows):
            return
        for spec in self._fixed:
            if spec.name in result.columns:
                before = columns[spec.name].values[rows]
                if not self._same(result[spec.name], spec, before):
                    raise RecordError(
                        f"its result changes '{spec.name}', a join key or the event time; name another column"
                    )

    def _same(self, series: Any, spec: ColumnSpec, before: NDArray[Any]) -> bool:
        if spec.name != self.timestamp_field:
            after = from_pandas(series, spec.kind)
            return bool(after.valid.all() and np.array_equal(after.values, before))
        if str(series.dtype) != f"datetime64[{self.unit}, UTC]":
            return False
        return bool(np.array_equal(series.astype(np.int64).to_numpy(), before))


def _rows_of(result: Any, offsets: Rows) -> Rows:
    """Positions of the rows of a result among the records."""
    if not len(result):
        return np.zeros(0, np.int64)
    index = result.index
    if index.name != INDEX or not pd.api.types.is_integer_dtype(index.dtype):
        raise RecordError(
            f"its result has lost the index '{INDEX}', so that nobody knows which record a row is; "
            "do not reset, replace or merge it away"
        )
    labels = index.to_numpy(np.int64)
    if np.array_equal(labels, offsets):
        return np.arange(len(offsets))
    rows: Rows = np.searchsorted(offsets, labels).clip(max=len(offsets) - 1)
    if not np.array_equal(offsets[rows], labels):
        raise RecordError("its result has rows that are none of the records; do not change the index")
    return rows
