"""Batch feature views from their tables, read by Feast, into the online store, written by Headrace.

Up to when a view has been written is remembered in the Redis hash ``headrace:{project}:materialized``, beside
the rows themselves: what loses the one loses the other.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import redis

from headrace.featurestore.batch.arrow_columns import Column, read_column, read_times_us
from headrace.featurestore.compile.definition import Definition
from headrace.featurestore.feast_repo.repository import FeastRepository, read_repository
from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.schemas.errors import DefinitionError, ServiceUnavailable
from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec
from headrace.schemas.plan import Plan
from headrace.streams.connections.redis import redis_client
from headrace.streams.intake.expectations import RowExpectations

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def materialize(
    repo_dir: Path,
    plan: Plan,
    redis_url: str,
    end: datetime | None = None,
    incremental: bool = False,
    overlap: timedelta = timedelta(0),
) -> dict[str, int]:
    """Write the latest row of every entity of every batch view. Rows that fail what is expected of a feature
    are told in the log.

    A view that fails keeps none of the others from being written.

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
    incremental
        Read only rows from where the last run ended on. A view that has changed, or has not been written
        yet, is read whole.
    overlap
        So much before that as well, for tables whose rows come late.

    Returns
    -------
    dict
        Rows written, by view.

    Raises
    ------
    DefinitionError
        When a table cannot be read or a column does not fit its declared type; names view and column. Of
        several, the first; the number of the others is told with it.
    ServiceUnavailable
        When Redis refuses the rows.
    """
    repository = read_repository(repo_dir)
    moment = end or datetime.now(UTC)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    written, failures = asyncio.run(_run(repository, plan, redis_url, moment, incremental, overlap))
    if failures:
        if len(failures) > 1:
            failures[0].add_note(f"and {len(failures) - 1} more views")
        raise failures[0]
    return written


async def _run(
    repository: FeastRepository,
    plan: Plan,
    redis_url: str,
    end: datetime,
    incremental: bool,
    overlap: timedelta,
) -> tuple[dict[str, int], list[DefinitionError]]:
    written, failures = {}, []
    sink, marks = RedisOnlineSink(redis_url, plan), _Marks(redis_url, plan.project)
    expected = RowExpectations(plan)
    try:
        for view in plan.batch_views:
            last = marks.read(view) if incremental else None
            if last is not None and end < last:  # an older row must not go over a newer one
                written[view.name] = 0
                continue
            try:
                table = BatchTable(repository, view)
                keys, features, times_us = table.read(end, last and last - overlap)
            except DefinitionError as error:
                failures.append(error)
                continue
            expected.check(view.name, features)
            await sink.write_batch_view(view.name, keys, features, times_us)
            marks.write(view, end)
            written[view.name] = len(times_us)
    finally:
        expected.tell(time.monotonic())
        await sink.close()
        marks.close()
    return written, failures


class _Marks:
    """Up to when each batch view has been written."""

    def __init__(self, redis_url: str, project: str) -> None:
        self._redis = redis_client(redis_url)
        self._key = f"headrace:{project}:materialized"

    def read(self, view: BatchViewSpec) -> datetime | None:
        """None when it has not been, or by another definition."""
        try:
            raw: Any = self._redis.hget(self._key, view.name)
        except redis.RedisError as error:
            raise _away(error) from error
        definition, _, until_us = (raw or b"").decode().partition("@")
        if definition != _definition(view):
            return None
        return _EPOCH + timedelta(microseconds=int(until_us))

    def write(self, view: BatchViewSpec, until: datetime) -> None:
        until_us = (until - _EPOCH) // timedelta(microseconds=1)
        try:
            self._redis.hset(self._key, view.name, f"{_definition(view)}@{until_us}")
        except redis.RedisError as error:
            raise _away(error) from error

    def close(self) -> None:
        self._redis.close()


def _definition(view: BatchViewSpec) -> str:
    text = json.dumps(view.model_dump(mode="json", exclude={"ttl_ms"}), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _away(error: redis.RedisError) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"Redis does not tell up to when batch views are written: {error}; run it again"
    )


class BatchTable:
    """The table of one batch view, read by the offline store of its repository."""

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

    def read(self, end: datetime, start: datetime | None) -> tuple[list[Any], list[Column], Any]:
        """Join key columns, feature columns and event times of the latest rows since `start`."""
        table = self._pull(end, start)
        keys = [self._key(table, key) for key in self._spec.join_keys]
        features = [self._column(table, feature) for feature in self._spec.features]
        return keys, features, self._times(table)

    def _pull(self, end: datetime, start: datetime | None) -> pa.Table:
        store = self._repository.store()
        try:
            job = store._get_provider().offline_store.pull_latest_from_table_or_query(
                config=store.config,
                data_source=self._source,
                join_key_columns=[self._in_table(key.name) for key in self._spec.join_keys],
                feature_name_columns=[self._in_table(f.name) for f in self._spec.features],
                timestamp_field=self._in_table(self._source.timestamp_field),
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
