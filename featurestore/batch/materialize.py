"""Batch feature views from their tables, read by Feast, into the online store, written by Headrace."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from headrace.featurestore.batch.progress import MaterializationProgress
from headrace.featurestore.batch.table import BatchTable
from headrace.featurestore.feast_repo.repository import FeastRepository, read_repository
from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.schemas.errors import DefinitionError
from headrace.schemas.plan import Plan
from headrace.streams.intake.expectations import RowExpectations

_log = logging.getLogger(__name__)


def materialize(
    repo_dir: Path,
    plan: Plan,
    redis_url: str,
    end: datetime | None = None,
    incremental: bool = False,
    overlap: timedelta = timedelta(0),
) -> dict[str, int]:
    """Write the latest row of every entity of every batch view.

    A view that fails keeps none of the others from being written. Of a view on a push source, a row that was
    pushed with a later event time stays. Rows that fail what is expected of a
    feature are written, and reported in the log.

    Parameters
    ----------
    repo_dir
        The Feast repository; its offline store reads the tables.
    plan
        The plan whose batch views are written.
    redis_url
        The online store.
    end
        Rows after it are not read; without a zone it is UTC, and None means now.
    incremental
        Read only rows from the end of the last run on. A view that has changed, or has not been written
        yet, is read whole.
    overlap
        Time before that end which is read as well, for tables whose rows come late.

    Returns
    -------
    dict
        Rows written, by view.

    Raises
    ------
    DefinitionError
        When a table cannot be read or a column does not fit its declared type; names view and column. Of
        several, the first, with a note of how many others there are.
    ServiceUnavailable
        When Redis refuses the rows.
    """
    repository = read_repository(repo_dir)
    moment = end or datetime.now(UTC)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    written, failures = asyncio.run(
        _write_views(repository, plan, redis_url, moment, overlap if incremental else None)
    )
    if failures:
        if len(failures) > 1:
            failures[0].add_note(f"and {len(failures) - 1} more views")
        raise failures[0]
    return written


async def _write_views(
    repository: FeastRepository, plan: Plan, redis_url: str, end: datetime, overlap: timedelta | None
) -> tuple[dict[str, int], list[DefinitionError]]:
    """Write all views, from the end of their last run on where an overlap is given."""
    written, failures = {}, []
    sink, progress = RedisOnlineSink(redis_url, plan), MaterializationProgress(redis_url, plan)
    expectations = RowExpectations(plan)
    try:
        for view in plan.batch_views:
            last_end = None if overlap is None else progress.read(view)
            if last_end is not None and end < last_end:  # an older row must not go over a newer one
                _log.warning(
                    "view '%s' is left as it is: it was written up to %s, which is later than %s. To write "
                    "it all the same, run without --incremental",
                    view.name,
                    last_end.isoformat(),
                    end.isoformat(),
                )
                written[view.name] = 0
                continue
            start = None if last_end is None or overlap is None else last_end - overlap
            try:
                rows = BatchTable(repository, view).read(end, start)
            except DefinitionError as error:
                failures.append(error)
                continue
            expectations.check(view.name, rows.features)
            written[view.name] = await sink.write_batch_view(
                view.name, rows.keys, rows.features, rows.times_us
            )
            progress.write(view, end)
    finally:
        expectations.report(time.monotonic())
        await sink.close()
        progress.close()
    return written, failures
