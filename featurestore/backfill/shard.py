"""Backfill behind the shuffle: one shard of a view's topic, from the blocks that its partitions left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path

from headrace.featurestore.backfill.blocks import SpooledBlock, merged
from headrace.featurestore.backfill.partition import MARK
from headrace.featurestore.backfill.state import BackfillState, Span, position_last
from headrace.featurestore.offline.feature_log import ParquetFeatureLog, ViewLog
from headrace.schemas.plan import Plan
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.state.partition import Entry, Shard
from headrace.streams.state.shuffle import decode_block

_MOST = 200  # blocks of a range


class ShardBackfill:
    """One shard, once `headrace.featurestore.backfill.partition.PartitionBackfill` has run the partitions.

    Blocks are numbered as they are taken; the numbers stand for offsets in the shuffle topic until
    `hand_over` says where that begins.

    Parameters
    ----------
    plan, view, feature_log, work, span
        As those of the partitions.
    shard
        Of the shuffle.
    partitions
        Those that were run.
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
        self._view, self._span, self.shard = plan.stream_view(view), span, shard
        self._source = plan.source(self._view.source)
        self.state = Shard(plan, self._source, shard)
        self._work, self._partitions = Path(work), partitions
        self._definition = ViewLog(feature_log, plan, view).definition
        file = self._work / f"{self._definition}-shard-{shard}.parquet"
        self._saved = BackfillState(file, self.state, span)
        self._log = ParquetFeatureLog(feature_log, plan)

    @property
    def position(self) -> int:
        """How many blocks have been taken."""
        return self.state.next_offset

    def blocks(self) -> Iterator[SpooledBlock]:
        """All blocks of the shard."""
        return merged(self._work, self._definition, self._partitions, self.shard)

    def run(self, chunk: int = 5_000) -> Iterator[int]:
        """Take the blocks that have not been; yields the position after each chunk, which is durable.

        Parameters
        ----------
        chunk
            Blocks between two states.
        """
        remaining = self._unheard()
        while part := list(islice(remaining, chunk)):
            first = self.position
            for cut in self._ranges(part):
                for rows in self.state.process(cut).rows:
                    if rows.view == self._view.name and self._span.has(rows.as_of_ms):
                        self._log.append(rows)
            self._log.flush(f"{MARK}shard-{self.shard:05d}-{first:015d}")
            self._saved.save()
            yield self.position

    def _unheard(self) -> Iterator[SpooledBlock]:
        heard = dict(self.state.heard)
        for one in self.blocks():
            if decode_block(one.block, 0).next_offset > heard.get(one.partition, 0):
                yield one

    def _ranges(self, blocks: Sequence[SpooledBlock]) -> Iterator[LogRecords]:
        """Cut where the append time enters another tile, as those of the partitions are."""
        for _, found in groupby(blocks, lambda one: one.appended_ms // self._source.tile_ms):
            while some := list(islice(found, _MOST)):
                first = self.position
                yield LogRecords.of(
                    [LogRecord(first + n, one.appended_ms, None, one.block) for n, one in enumerate(some)]
                )

    def hand_over(self, behind: int) -> list[Entry]:
        """The state as changelog records, for workers to go on at an offset of the shuffle topic.

        Parameters
        ----------
        behind
            The offset behind the last of the `blocks` there.
        """
        self.state.move(behind)
        moved = dict(self._saved.entries())
        moved.update(self.state.snapshot())
        return position_last(moved)
