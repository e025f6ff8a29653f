"""The table of a batch view in the columns that the online writer takes.

Parquet files of this machine are read here, other tables by Feast's offline store.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.featurestore.batch.arrow_columns import Column, read_column, read_times_us
from headrace.featurestore.compile.definition import Definition
from headrace.featurestore.compile.table_source import compile_table
from headrace.featurestore.feast_repo.as_feast import as_feast_runs
from headrace.featurestore.feast_repo.error_text import error_text
from headrace.featurestore.feast_repo.repository import FeastRepository
from headrace.featurestore.tables.file_source import is_local, source_rows, table_columns
from headrace.featurestore.tables.latest_rows import MOMENT, latest_rows
from headrace.featurestore.tables.table_rows import ROW
from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec, TableSpec
from headrace.schemas.feature_types import is_composite

_UTC = pa.timestamp("us", tz="UTC")


class BatchRows(NamedTuple):
    """Rows of a batch view, shape (n,) in every column.

    Attributes
    ----------
    keys, features
        In the order of the view; features with their validity.
    times_us
        Event times, epoch microseconds.
    """

    keys: list[Any]
    features: list[Column]
    times_us: NDArray[np.int64]


class BatchTable:
    """Reads the table of one batch view.

    Parameters
    ----------
    repository
        The Feast repository, whose offline store reads the table.
    view
        A batch view of the plan.

    Raises
    ------
    DefinitionError
        When the repository does not define the view, or leaves out of it what its table does not say, or
        reads another table than the plan.
    """

    def __init__(self, repository: FeastRepository, view: BatchViewSpec) -> None:
        self._repository, self._spec = repository, view
        defined = [v for v in repository.contents.feature_views if v.name == view.name]
        self._definition = Definition(
            repository.file_of(*defined), f"feature view '{view.name}'", repository.line_of(*defined)
        )
        if not defined:
            raise self._definition.error(
                "it is in the plan, but not in the repository", "Run `headrace apply` first"
            )
        repository.infer(defined[0])
        self._source = defined[0].batch_source
        if view.source is not None:
            self._check_source(view.source, compile_table(self._source, repository.path))
        self._columns = table_columns(self._source)
        self._time = self._column_name(self._source.timestamp_field)
        created = self._source.created_timestamp_column
        self._created = self._column_name(created) if created else None

    def read(self, end: datetime, start: datetime | None) -> BatchRows:
        """Read the latest row of every entity with an event time in ``[start, end]``; None is no bound.

        Raises
        ------
        DefinitionError
            When the table cannot be read, or a column does not fit its declared type; names the column.
        """
        table = self._latest(end, start)
        return BatchRows(
            [self._key(table, key) for key in self._spec.join_keys],
            [self._column(table, feature) for feature in self._spec.features],
            np.asarray(table.column(MOMENT).cast(pa.int64())),
        )

    def _check_source(self, planned: TableSpec, found: TableSpec) -> None:
        """Refuse rows of another table: the next run would go on from them as if they were the plan's."""
        differing = [
            f"{field} '{getattr(found, field)}' (in the plan '{getattr(planned, field)}')"
            for field in TableSpec.model_fields
            if getattr(found, field) != getattr(planned, field)
        ]
        if differing:
            raise self._definition.error(
                f"its table is not that of the plan in force: {', '.join(differing)}",
                "Run `headrace apply`, or run this with the repository that was applied",
            )

    def _latest(self, end: datetime, start: datetime | None) -> pa.Table:
        """The columns of the latest rows by their names in the table, and `MOMENT`."""
        is_here = is_local(self._source)
        try:
            table = self._read_all() if is_here else self._pull_latest(end, start)
        except Exception as error:  # whatever the offline store in use raises
            raise self._definition.error(
                f"its table cannot be read ({type(error).__name__}: {error_text(error)})",
                f"See source '{self._source.name}': path, columns and timestamp_field",
            ) from error
        table = table.append_column(MOMENT, pa.array(self._times_us(table), _UTC))
        if not is_here:
            if self._spec.join_keys:
                return table
            table = table.append_column(ROW, pa.array(range(len(table)), pa.int64()))  # Feast gives every row
        return latest_rows(
            table,
            keys=[self._column_name(key.name) for key in self._spec.join_keys],
            created=self._created,
            between=(start, end),
        )

    def _read_all(self) -> pa.Table:
        fields = (*self._spec.join_keys, *self._spec.features)
        names = [self._column_name(field.name) for field in fields] + [self._time]
        names += [self._created] if self._created else []
        rows = source_rows(self._spec.name, self._source, self._repository.path)
        return rows.batches({name: name for name in names}).read_all()

    def _pull_latest(self, end: datetime, start: datetime | None) -> pa.Table:
        """Read by Feast's offline store."""
        with as_feast_runs(self._repository.path):
            store = self._repository.store()
            job = store._get_provider().offline_store.pull_latest_from_table_or_query(
                config=store.config,
                data_source=self._source,
                join_key_columns=[self._column_name(key.name) for key in self._spec.join_keys],
                feature_name_columns=[self._column_name(f.name) for f in self._spec.features],
                timestamp_field=self._time,
                created_timestamp_column=self._created,
                start_date=start,
                end_date=end,
            )
            return job.to_arrow()

    def _column_name(self, name: str) -> str:
        return self._columns.get(name, name)

    def _key(self, table: pa.Table, key: FieldSpec) -> Any:
        values, valid = self._column(table, key)
        if not valid.all():
            raise self._definition.part(f"column '{key.name}'").error(
                f"{(~valid).sum()} rows have no join key", "Take these rows out of the table"
            )
        return values

    def _column(self, table: pa.Table, field: FieldSpec) -> Column:
        name = self._column_name(field.name)
        try:
            values = table.column(name)
            return read_column(field.dtype, _through_pandas(values) if is_composite(field.dtype) else values)
        except (ValueError, pa.ArrowException) as error:
            raise self._definition.part(f"column '{name}'").error(
                f"its values do not fit type {field.dtype}: {error}", "Correct the table or the Field"
            ) from error

    def _times_us(self, table: pa.Table) -> NDArray[np.int64]:
        try:
            return read_times_us(table.column(self._time))
        except ValueError as error:
            raise self._definition.part(f"column '{self._time}'").error(
                str(error), "Give every row an event time, as a timestamp"
            ) from error


def _through_pandas(values: pa.ChunkedArray) -> pa.Array:
    """Take nested values the way that Feast takes them, which makes whole numbers beside nulls floating."""
    return pa.array(values.to_pandas(), from_pandas=True)
