"""The table of a batch view, read by Feast's offline store, in the columns that the online writer takes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.featurestore.batch.arrow_columns import Column, read_column, read_times_us
from headrace.featurestore.compile.definition import Definition
from headrace.featurestore.feast_repo.repository import FeastRepository
from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec


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
        When the repository does not define the view.
    """

    def __init__(self, repository: FeastRepository, view: BatchViewSpec) -> None:
        self._repository, self._spec = repository, view
        defined = [v for v in repository.contents.feature_views if v.name == view.name]
        self._definition = Definition(repository.file_of(*defined), f"feature view '{view.name}'")
        if not defined:
            raise self._definition.error(
                "it is in the plan, but not in the repository", "Run `headrace apply` first"
            )
        self._source = defined[0].batch_source
        self._columns = table_columns(self._source)

    def read(self, end: datetime, start: datetime | None) -> BatchRows:
        """Read the latest row of every entity with an event time in ``[start, end]``; None is no bound.

        Raises
        ------
        DefinitionError
            When the table cannot be read, or a column does not fit its declared type; names the column.
        """
        table = self._pull(end, start)
        return BatchRows(
            [self._key(table, key) for key in self._spec.join_keys],
            [self._column(table, feature) for feature in self._spec.features],
            self._times_us(table),
        )

    def _pull(self, end: datetime, start: datetime | None) -> pa.Table:
        store = self._repository.store()
        try:
            job = store._get_provider().offline_store.pull_latest_from_table_or_query(
                config=store.config,
                data_source=self._source,
                join_key_columns=[self._column_name(key.name) for key in self._spec.join_keys],
                feature_name_columns=[self._column_name(f.name) for f in self._spec.features],
                timestamp_field=self._column_name(self._source.timestamp_field),
                created_timestamp_column=self._source.created_timestamp_column or None,
                start_date=start,
                end_date=end,
            )
            return job.to_arrow()
        except Exception as error:  # whatever the offline store in use raises
            raise self._definition.error(
                f"its table cannot be read ({type(error).__name__}: {error})",
                f"See source '{self._source.name}': path, columns and timestamp_field",
            ) from error

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
            return read_column(field.dtype, table.column(name))
        except (ValueError, pa.ArrowException) as error:
            raise self._definition.part(f"column '{name}'").error(
                f"its values do not fit type {field.dtype}: {error}", "Correct the table or the Field"
            ) from error

    def _times_us(self, table: pa.Table) -> NDArray[np.int64]:
        name = self._column_name(self._source.timestamp_field)
        try:
            return read_times_us(table.column(name))
        except ValueError as error:
            raise self._definition.part(f"column '{name}'").error(
                str(error), "Give every row an event time"
            ) from error


def table_columns(source: Any) -> dict[str, str]:
    """Columns of a table by the names that Feast gives them, where a source maps names."""
    return {name: column for column, name in (source.field_mapping or {}).items()}
