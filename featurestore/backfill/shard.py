"""Backfill behind the shuffle: one shard, from the blocks that the partitions of the event topic left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from headrace.featurestore.backfill.blocks import SpooledBlock, merged_blocks
from headrace.featurestore.backfill.span import Span
from headrace.featurestore.backfill.span_rows import SpanRows
from headrace.featurestore.backfill.state import BackfillState
from headrace.featurestore.backfill.tile_ranges import tile_ranges
from headrace.featurestore.backfill.work_files import work_definition
from headrace.schemas.plan import Plan
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.state.partition import Entry
from headrace.streams.state.shard import Shard
from headrace.streams.state.shuffle import decode_block

_RANGE_BLOCKS = 200


class ShardBackfill:
    """Runs one shard, after `PartitionBackfill` has run the partitions.

    Blocks are numbered as they are taken. The numbers stand for offsets of the shuffle topic until
    the blocks are there: `Shard.move`.

    Parameters
    ----------
    plan, view, feature_log, work, span
        As those of the partitions.
    shard
        Of the shuffle.
    partitions
        Those that were run.

    Raises
    ------
    StateError
        When `work` holds a backfill of another span, or of a version that is not read.
    """

    def __init__(
        self,
        plan: Plan,
        view: str,
        shard: int,
        partitions: Sequence[int],
        feature_log: Path,
        work: Path,
        span: Span,
    ) -> None:
        self.shard = shard
        source = plan.source(plan.stream_view(view).source)
        self._tile_ms = source.tile_ms
        self.state = Shard(plan, source, shard)
        self._work, self._partitions = Path(work), partitions
        self._definition = work_definition(self._work, plan, view)
        file = self._work / f"{self._definition}-shard-{shard}.parquet"
        self._saved = BackfillState(file, self.state, span)
        self._rows = SpanRows(plan, view, feature_log, span)

    @property
    def position(self) -> int:
        """How many blocks have been taken."""
        return self.state.next_offset

    def blocks(self) -> Iterator[SpooledBlock]:
        """All blocks of the shard."""
        return merged_blocks(self._work, self._definition, self._partitions, self.shard)

    def run(self, chunk: int = 5_000) -> Iterator[int]:
        """Take the blocks that have not been taken yet.

        Parameters
        ----------
        chunk
            Blocks between two states.

        Yields
        ------
        int
            The position after each chunk, which is durable then.
        """
        remaining = self._blocks_not_applied()
        while chunk_blocks := list(islice(remaining, chunk)):
            first = self.position
            for cut in tile_ranges(
                chunk_blocks, lambda block: block.appended_ms, self._tile_ms, _RANGE_BLOCKS
            ):
                self._rows.append(self.state.process(self._records(cut)).rows)
            self._rows.flush(f"shard-{self.shard:05d}-{first:015d}")
            self._saved.save()
            yield self.position

    def _blocks_not_applied(self) -> Iterator[SpooledBlock]:
        source_offsets = dict(self.state.source_offsets)
        for block in self.blocks():
            if decode_block(block.block, 0).next_offset > source_offsets.get(block.partition, 0):
                yield block

    def _records(self, blocks: Sequence[SpooledBlock]) -> LogRecords:
        """Blocks as records of the shuffle topic, numbered from the position on."""
        return LogRecords.of(
            [
                LogRecord(offset, block.appended_ms, None, block.block)
                for offset, block in enumerate(blocks, start=self.position)
            ]
        )

    def entries(self) -> list[Entry]:
        """The state as changelog records; see `PartitionBackfill.entries`. Offsets are numbers of blocks."""
        return self._saved.entries()
