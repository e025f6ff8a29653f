"""The feature log: every emitted row in Parquet, where Feast's historical retrieval finds it.

Rows of a stream view are below ``{directory}/{view}/event_day=YYYY-MM-DD/``, by the UTC day of their as-of
time, so that this source reads them::

    FileSource(path=".../{view}", timestamp_field="event_timestamp", created_timestamp_column="created")

The name of a file begins with the hash of the definition that its rows were computed by. Opening the log
moves the rows of other definitions aside, and those of its own back.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from headrace.featurestore.offline.arrow_rows import log_schema, log_table
from headrace.featurestore.offline.parquet_files import write_durably
from headrace.schemas.follows_from import log_definition, log_definition_before
from headrace.schemas.plan import Plan
from headrace.streams.sinks import OnlineRows

_SUPERSEDED = ".superseded"
_DAY_MS = 86_400_000


class ParquetFeatureLog:
    """Implements `headrace.streams.sinks.FeatureLog`. Any number of writers may have one open at a time.

    Columns are the join keys, the features, ``event_timestamp`` (the as-of time of the row, UTC
    milliseconds), ``created``, and ``_partition`` and ``_offset``, the log prefix ``[0, offset)`` the row
    follows from. ``created`` is the offset as milliseconds from 1970 on: of two rows of a key with one event
    time Feast takes the later created one, and that must be the row of the longer prefix, not the one that
    was written again after a crash.

    Parameters
    ----------
    directory
        Folder of the log. Missing folders of views are made in it.
    plan
        The plan with the views.
    """

    def __init__(self, directory: Path, plan: Plan) -> None:
        self._logs = {view.name: ViewLog(directory, plan, view.name) for view in plan.stream_views}
        for log in self._logs.values():
            log.open()
        self._pending: dict[str, list[OnlineRows]] = {}

    def append(self, rows: OnlineRows) -> None:
        """Take rows over into memory. Their arrays must not be changed afterwards."""
        if len(rows):
            self._pending.setdefault(rows.view, []).append(rows)

    def flush(self, name: str | None = None) -> None:
        """Make appended rows durable: one file per view and day, complete or not there at all.

        Rows that a crash takes away are appended again on replay. So a row may be in the log twice, with the
        same values, partition and offset; `headrace.featurestore.offline.compaction` and readers drop the
        second.

        Parameters
        ----------
        name
            Name of the files, so that a writer that repeats itself replaces them; None: one of their own.
        """
        for view, pending in self._pending.items():
            by_day: dict[int, list[OnlineRows]] = {}
            for rows in pending:
                by_day.setdefault(rows.as_of_ms // _DAY_MS, []).append(rows)
            log = self._logs[view]
            for day, same_day in by_day.items():
                table = log_table(log.view, same_day)
                log.write(day, table, name or f"{time.time_ns()}-{uuid.uuid4().hex}")
        self._pending = {}


class ViewLog:
    """The files of one view, of the definition in force.

    Parameters
    ----------
    directory
        Folder of the log.
    plan, view
        The plan, and the name of a stream view in it.
    """

    def __init__(self, directory: Path, plan: Plan, view: str) -> None:
        self.view = plan.stream_view(view)
        self.definition = log_definition(plan, self.view)
        self._before = log_definition_before(plan, self.view)
        self.folder = Path(directory) / view
        self._aside = Path(directory) / _SUPERSEDED / view

    def open(self) -> None:
        """Put the rows of this definition, and no others, where readers look: at least a file of no rows."""
        for folder in (self.folder, self._aside):
            for file in [*folder.rglob("*.parquet")]:
                to = self.folder if self._is_own(file) else self._aside
                _move(file, to / file.relative_to(folder).with_name(self._name_now(file)))
        if not self.files():  # Feast cannot read a folder without one
            self.write(0, log_schema(self.view).empty_table(), "empty")

    def files(self) -> list[Path]:
        """List the finished files of this definition, by day and name."""
        return sorted(file for file in self.folder.rglob("*.parquet") if self._is_own(file))

    def days(self) -> Iterator[tuple[Path, list[Path]]]:
        """Iterate over the folders of days, each with its files of this definition."""
        by_day: dict[Path, list[Path]] = {}
        for file in self.files():
            by_day.setdefault(file.parent, []).append(file)
        yield from sorted(by_day.items())

    def write(self, day: int, table: pa.Table, name: str) -> Path:
        """Write a durable file of rows of one day, counted from 1970."""
        folder = self.folder / f"event_day={np.datetime64(day, 'D')}"
        finished = folder / f"{self.definition}-{name}.parquet"
        write_durably(finished, table)
        return finished

    def _is_own(self, file: Path) -> bool:
        return file.name.startswith((f"{self.definition}-", f"{self._before}-"))

    def _name_now(self, file: Path) -> str:
        """The name of a file: its own rows may be named by the hash of before."""
        head, dash, rest = file.name.partition("-")
        return f"{self.definition}{dash}{rest}" if head == self._before else file.name


def _move(file: Path, to: Path) -> None:
    if file == to:
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):  # another writer was faster
        file.rename(to)
