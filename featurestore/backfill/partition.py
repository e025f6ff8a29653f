"""Backfill of a partition: the window code itself over past events, into the feature log.

A partition is run in chunks. Of each chunk the rows become durable first, in a file named after the chunk,
and then the state behind it. A chunk that a crash interrupts is run again and replaces its own file. Views
behind a shuffle follow in `headrace.featurestore.backfill.shard`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from headrace.featurestore.backfill.blocks import BlockFiles
from headrace.featurestore.backfill.span import Span
from headrace.featurestore.backfill.span_rows import SpanRows
from headrace.featurestore.backfill.state import BackfillState
from headrace.featurestore.backfill.tile_ranges import tile_ranges
from headrace.featurestore.backfill.work_files import work_definition
from headrace.schemas.event_decoder import EventDecoder
from headrace.schemas.plan import Plan
from headrace.streams.intake.udf import Transform
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.state.partition import Entry
from headrace.streams.state.source_partition import SourcePartition

_RANGE_RECORDS = 2000


class PartitionBackfill:
    """Runs the views of an event topic over one of its partitions.

    Where the topic has views behind a shuffle, their blocks are kept in files for `ShardBackfill`.

    Parameters
    ----------
    plan
        The plan.
    view
        Name of the stream view whose rows are written. State is kept of every view of its source.
    partition
        Of the event topic.
    feature_log
        Folder of the feature log.
    work
        Folder of the state, so that another run goes on from there; one per view and span.
    span
        Which rows are written.
    transforms
        Executors of the udfs of the views on the topic, by the view's name.

    Raises
    ------
    PlanError
        When the udf of a view is missing.
    StateError
        When `work` holds a backfill of another span, or of a version that is not read.
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
        self.partition = partition
        source = plan.source(plan.stream_view(view).source)
        self._tile_ms = source.tile_ms
        self.state = SourcePartition(plan, source, partition, transforms or {})
        definition = work_definition(work, plan, view)
        self._saved = BackfillState(Path(work) / f"{definition}-{partition}.parquet", self.state, span)
        self._rows = SpanRows(plan, view, feature_log, span)
        self._blocks = BlockFiles(work, definition, partition)

    @property
    def position(self) -> int:
        """Offset of the next record."""
        return self.state.next_offset

    def entries(self) -> list[Entry]:
        """The state as changelog records. The position is last: it says that the others are there."""
        return self._saved.entries()

    def run(
        self,
        records: Iterable[LogRecord],
        chunk: int = 100_000,
        supply: Callable[[EventDecoder, LogRecords], None] = lambda decoder, records: None,
    ) -> Iterator[int]:
        """Process records from `position` on.

        Parameters
        ----------
        records
            In the order of their offsets.
        chunk
            Records between two states. A run after a crash must have the same, so that it cuts alike.
        supply
            Gives the decoder what it lacks for records that it is going to decode.

        Yields
        ------
        int
            The position after each chunk, which is durable then.
        """
        remaining = iter(records)
        while chunk_records := list(islice(remaining, chunk)):
            first, blocks = self.position, []
            for cut in tile_ranges(
                chunk_records, lambda record: record.timestamp, self._tile_ms, _RANGE_RECORDS
            ):
                of_range = LogRecords.of(cut)
                supply(self.state.decoder, of_range)
                effects = self.state.process(of_range)
                self._rows.append(effects.rows)
                blocks += [(cut[-1].timestamp, shard, block) for shard, block in enumerate(effects.blocks)]
            self._rows.flush(f"{self.partition:05d}-{first:015d}")
            self._blocks.write(first, blocks)
            self._saved.save()
            yield self.position
