"""Backfill: the window code itself over past events, into the feature log, and its state to the live worker.

A partition is run in chunks. Of each, first the rows are durable, in a file named by the chunk, then the
state behind it: what a crash interrupts is done again and replaces itself. What is behind a shuffle follows
in `headrace.featurestore.backfill.shard`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.featurestore.backfill.blocks import BlockFiles
from headrace.featurestore.backfill.state import BackfillState, Span
from headrace.featurestore.offline.feature_log import ParquetFeatureLog, ViewLog, write_durably
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.plan import Plan
from headrace.streams.intake.udf import Transform
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.state.partition import Entry, SourcePartition

MARK = "backfill-"
_MOST = 2000  # records of a range


class PartitionBackfill:
    """One partition of the topic of a view.

    Where the topic has views behind a shuffle, their blocks are kept in files for `ShardBackfill`.

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
    transforms
        What executes the udfs of the views on the topic, by the view's name.

    Raises
    ------
    PlanError
        When the udf of a view is missing.
    StateError
        When `work` holds a backfill of another span.
    """

    def __init__(
        self,
        plan: Plan,
        view: str,
        partition: int,
        feature_log: Path,
        work: Path,
        span: Span,
        transforms: Mapping[str, Transform] | None = None,
    ) -> None:
        self._view, self._span, self.partition = plan.stream_view(view), span, partition
        self._source = plan.source(self._view.source)
        self.state = SourcePartition(plan, self._source, partition, transforms or {})
        definition = ViewLog(feature_log, plan, view).definition
        self._saved = BackfillState(Path(work) / f"{definition}-{partition}.parquet", self.state, span)
        self._log = ParquetFeatureLog(feature_log, plan)
        self._blocks = BlockFiles(work, definition, partition)

    @property
    def position(self) -> int:
        """Offset of the next record."""
        return self.state.next_offset

    def entries(self) -> list[Entry]:
        """The state as changelog records, the position last: it says that the others are there."""
        return self._saved.entries()

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
            first, blocks = self.position, []
            for cut in ranges(part, self._source):
                effects = self.state.process(LogRecords.of(cut))
                blocks += [(cut[-1].timestamp, n, block) for n, block in enumerate(effects.blocks)]
                for rows in effects.rows:
                    if rows.view == self._view.name and self._span.has(rows.as_of_ms):
                        self._log.append(rows)
            self._log.flush(f"{MARK}{self.partition:05d}-{first:015d}")
            self._blocks.write(first, blocks)
            self._saved.save()
            yield self.position


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
        if file.name.startswith(f"{log.definition}-{MARK}"):
            continue
        table = pq.ParquetFile(file).read()
        times = np.asarray(table["event_timestamp"].cast(pa.int64()))
        inside = np.array([span.has(int(time_ms)) for time_ms in times], np.bool_)
        if inside.any():
            dropped += int(inside.sum())
            write_durably(file, table.filter(pc.invert(pa.array(inside))))
    return dropped
