"""Backfill: the window code itself over past events, into the feature log, and its state to the live worker.

A partition is run in chunks. Of each, first the rows are durable, in a file named by the chunk, then the
state behind it: what a crash interrupts is done again and replaces itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from featurestore.feature_log import ParquetFeatureLog, ViewLog, write_durably
from schemas.errors import HeadraceError, StateError
from schemas.feature_specs import SourceSpec
from schemas.plan import Plan
from streams.log_records import LogRecord, LogRecords
from streams.partition_state import Entry, SourcePartition

_MARK = "backfill-"
_MOST = 2000  # records of a range


@dataclass(frozen=True)
class Span:
    """Which rows are wanted: event time in ``[from_ms, to_ms)``; None has no end."""

    from_ms: int | None = None
    to_ms: int | None = None

    def has(self, time_ms: int) -> bool:
        return (self.from_ms is None or time_ms >= self.from_ms) and (
            self.to_ms is None or time_ms < self.to_ms
        )


class PartitionBackfill:
    """One partition of the topic of a view.

    Parameters
    ----------
    plan
        The plan.
    view
        Name of the stream view whose rows are written. State is that of every view of its source.
    partition
        Of the event topic.
    feature_log
        Folder of the feature log.
    work
        Folder where the state is kept, so that another run goes on; one per view and span.
    span
        Which rows are written.

    Raises
    ------
    HeadraceError
        When the view is computed behind a shuffle, or a view of its topic has a udf.
    """

    def __init__(
        self, plan: Plan, view: str, partition: int, feature_log: Path, work: Path, span: Span
    ) -> None:
        self._view, self._span, self.partition = plan.stream_view(view), span, partition
        self._source = plan.source(self._view.source)
        if not plan.is_direct(self._view):
            raise HeadraceError(
                f"view '{view}' is computed behind a shuffle, which backfill does not run; let a worker read "
                f"topic '{self._source.topic}' from its beginning, as it does under a new definition"
            )
        if derived := [one.name for one in plan.views_of(self._source.name) if one.udf is not None]:
            raise HeadraceError(
                f"view '{derived[0]}' on the same topic has a udf, which backfill does not run; let a worker "
                f"read topic '{self._source.topic}' from its beginning, as it does under a new definition"
            )
        self.state = SourcePartition(plan, self._source, partition)
        definition = ViewLog(feature_log, plan, view).definition
        self._file = Path(work) / f"{definition}-{partition}.parquet"
        self._log = ParquetFeatureLog(feature_log, plan)
        self._entries: dict[bytes, bytes | None] = {}
        if self._file.exists():
            self._take_up()

    @property
    def position(self) -> int:
        """Offset of the next record."""
        return self.state.next_offset

    def entries(self) -> list[Entry]:
        """The state as changelog records, the position last: it says that the others are there."""
        return sorted(self._entries.items(), key=lambda entry: entry[0].startswith(b"p|"))

    def run(self, records: Iterable[LogRecord], chunk: int = 100_000) -> Iterator[int]:
        """Process records from `position` on; yields the position after each chunk, which is durable.

        Parameters
        ----------
        records
            In offset order.
        chunk
            Records between two states. What is repeated after a crash is cut alike, if it is the same.
        """
        remaining = iter(records)
        while part := list(islice(remaining, chunk)):
            first = self.position
            for cut in ranges(part, self._source):
                for rows in self.state.process(LogRecords.of(cut)).rows:
                    if rows.view == self._view.name and self._span.has(rows.as_of_ms):
                        self._log.append(rows)
            self._log.flush(f"{_MARK}{self.partition:05d}-{first:015d}")
            self._save()
            yield self.position

    def _save(self) -> None:
        for key, value in self.state.snapshot():
            self._entries.pop(key, None)
            if value is not None:
                self._entries[key] = value
        self._file.parent.mkdir(parents=True, exist_ok=True)
        columns = {"key": [*self._entries], "value": [*self._entries.values()]}
        table = pa.table({name: pa.array(values, pa.large_binary()) for name, values in columns.items()})
        write_durably(self._file, table.replace_schema_metadata({"span": _text(self._span)}))

    def _take_up(self) -> None:
        table = pq.read_table(self._file)
        span = (table.schema.metadata or {}).get(b"span", b"").decode()
        if span != _text(self._span):
            raise StateError(
                f"{self._file.parent} holds a backfill of another span ({span}); finish that, or remove "
                "the folder"
            )
        self._entries = dict(zip(table["key"].to_pylist(), table["value"].to_pylist(), strict=True))
        self.state.restore(self._entries.items())


def ranges(records: list[LogRecord], source: SourceSpec) -> Iterator[list[LogRecord]]:
    """Cut where the append time enters another tile: rows are as of the end of a range."""
    tiles = np.array([record.timestamp for record in records], np.int64) // source.tile_ms
    cuts = np.flatnonzero(np.diff(tiles)) + 1
    for start, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(records)], strict=True):
        for at in range(start, end, _MOST):
            yield records[at : min(at + _MOST, end)]


def until(records: Iterable[LogRecord], to_ms: int | None) -> Iterator[LogRecord]:
    """Records up to the first that was appended at `to_ms` or later."""
    for record in records:
        if to_ms is not None and record.timestamp >= to_ms:
            return
        yield record


def drop_other_rows(feature_log: Path, plan: Plan, view: str, span: Span) -> int:
    """Take the rows of a span that no backfill has written out of the log; how many they were.

    For events without offsets: what a worker had written of that time knew less of the past.
    """
    log, dropped = ViewLog(feature_log, plan, view), 0
    for file in log.files():
        if file.name.startswith(f"{log.definition}-{_MARK}"):
            continue
        table = pq.ParquetFile(file).read()
        times = np.asarray(table["event_timestamp"].cast(pa.int64()))
        inside = np.array([span.has(int(time_ms)) for time_ms in times], np.bool_)
        if inside.any():
            dropped += int(inside.sum())
            write_durably(file, table.filter(pc.invert(pa.array(inside))))
    return dropped


def _text(span: Span) -> str:
    return json.dumps([span.from_ms, span.to_ms])
