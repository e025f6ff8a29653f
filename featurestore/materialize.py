"""Batch feature views from their tables, read by Feast, into the online store, written by Headrace."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from featurestore.arrow_columns import Column, read_column, read_times_us
from featurestore.definitions import Definition
from featurestore.feast_repository import FeastRepository, read_repository
from featurestore.online_writer import RedisOnlineSink
from schemas.plan import BatchViewSpec, FieldSpec, Plan
from streams.expectations import RowExpectations


def materialize(repo_dir: Path, plan: Plan, redis_url: str, end: datetime | None = None) -> dict[str, int]:
    """Write the latest row of every entity of every batch view. Rows that fail what is expected of a feature
    are told in the log.

    Parameters
    ----------
    repo_dir
        The Feast repository; its offline store reads the tables.
    plan
        The plan whose batch views are written.
    redis_url
        The online store.
    end
        Rows after it are not seen; without a zone it is UTC, and None means now.

    Returns
    -------
    dict
        Rows written, by view.

    Raises
    ------
    DefinitionError
        When a table cannot be read or a column does not fit its declared type; names view and column.
    ServiceUnavailable
        When Redis refuses the rows.
    """
    repository = read_repository(repo_dir)
    moment = end or datetime.now(UTC)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    tables = {view.name: _BatchTable(repository, view).read(moment) for view in plan.batch_views}
    expected = RowExpectations(plan)
    for name, (_, features, _) in tables.items():
        expected.check(name, features)
    expected.tell(time.monotonic())
    asyncio.run(_write(plan, redis_url, tables))
    return {name: len(times_us) for name, (_, _, times_us) in tables.items()}


async def _write(plan: Plan, redis_url: str, tables: dict[str, tuple[list[Any], list[Column], Any]]) -> None:
    sink = RedisOnlineSink(redis_url, plan)
    try:
        for name, (keys, features, times_us) in tables.items():
            await sink.write_batch_view(name, keys, features, times_us)
    finally:
        await sink.close()


class _BatchTable:
    """The table of one batch view."""

    def __init__(self, repository: FeastRepository, view: BatchViewSpec) -> None:
        self._repository, self._spec = repository, view
        found = [v for v in repository.contents.feature_views if v.name == view.name]
        self._definition = Definition(repository.file_of(*found), f"feature view '{view.name}'")
        if not found:
            raise self._definition.error(
                "it is in the plan, but not in the repository", "Run `headrace apply` first"
            )
        self._source = found[0].batch_source
        self._names_in_table = {v: k for k, v in (self._source.field_mapping or {}).items()}

    def read(self, end: datetime) -> tuple[list[Any], list[Column], Any]:
        """Join key columns, feature columns and event times of the latest rows."""
        table = self._pull(end)
        keys = [self._key(table, key) for key in self._spec.join_keys]
        features = [self._column(table, feature) for feature in self._spec.features]
        return keys, features, self._times(table)

    def _pull(self, end: datetime) -> pa.Table:
        store = self._repository.store()
        try:
            job = store._get_provider().offline_store.pull_latest_from_table_or_query(
                config=store.config,
                data_source=self._source,
                join_key_columns=[self._in_table(key.name) for key in self._spec.join_keys],
                feature_name_columns=[self._in_table(f.name) for f in self._spec.features],
                timestamp_field=self._in_table(self._source.timestamp_field),
                created_timestamp_column=self._source.created_timestamp_column or None,
                end_date=end,
            )
            return job.to_arrow()
        except Exception as error:  # whatever the offline store in use raises
            raise self._definition.error(
                f"its table cannot be read ({type(error).__name__}: {error})",
                f"See source '{self._source.name}': path, columns and timestamp_field",
            ) from error

    def _in_table(self, name: str) -> str:
        return str(self._names_in_table.get(name, name))

    def _key(self, table: pa.Table, key: FieldSpec) -> Any:
        values, valid = self._column(table, key)
        if not valid.all():
            raise self._definition.part(f"column '{key.name}'").error(
                f"{(~valid).sum()} rows have no join key", "Take these rows out of the table"
            )
        return values

    def _column(self, table: pa.Table, field: FieldSpec) -> Column:
        name = self._in_table(field.name)
        try:
            return read_column(field.dtype, table.column(name))
        except (ValueError, pa.ArrowException) as error:
            raise self._definition.part(f"column '{name}'").error(
                f"its values do not fit type {field.dtype}: {error}", "Correct the table or the Field"
            ) from error

    def _times(self, table: pa.Table) -> Any:
        name = self._in_table(self._source.timestamp_field)
        try:
            return read_times_us(table.column(name))
        except ValueError as error:
            raise self._definition.part(f"column '{name}'").error(
                str(error), "Give every row an event time"
            ) from error
