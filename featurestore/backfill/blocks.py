"""The shuffle of a backfill: the blocks of each partition in files, merged for each shard.

A shard takes blocks in the order of their append times, as a worker would have got them: its clock is the
greatest of all partitions, and none of them may run ahead.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.featurestore.offline.parquet_files import write_durably
from headrace.schemas.encodings import UNVERSIONED, Encoding

_SCHEMA = pa.schema([("appended", pa.int64()), ("shard", pa.int32()), ("block", pa.large_binary())])
FILE = Encoding(
    version=1,
    older=(UNVERSIONED,),
    remedy="finish the backfill with that version, or remove the folder",
)
_BATCH_BLOCKS = 64  # in memory, of each partition


class SpooledBlock(NamedTuple):
    """A block for one shard. Blocks sort in the order they are taken."""

    appended_ms: int  # of the last record of its range
    partition: int
    number: int  # among the blocks of its partition
    block: bytes


class BlockFiles:
    """The blocks of one partition, one file per chunk.

    Parameters
    ----------
    work
        Folder of the backfill.
    definition
        Of the view.
    partition
        Of the event topic.
    """

    def __init__(self, work: Path, definition: str, partition: int) -> None:
        self._work, self._partition = Path(work), partition
        self._prefix = f"{definition}-blocks-{partition:05d}-"

    def write(self, first: int, blocks: Sequence[tuple[int, int, bytes]]) -> None:
        """Make the blocks of a chunk durable. A chunk that is run again replaces them.

        Parameters
        ----------
        first
            Offset at which the chunk begins.
        blocks
            Append time in epoch milliseconds, shard and block, in the order of the log.
        """
        if blocks:
            columns = [list(column) for column in zip(*blocks, strict=True)]
            arrays = [pa.array(values, kind) for values, kind in zip(columns, _SCHEMA.types, strict=True)]
            file = self._work / f"{self._prefix}{first:015d}.parquet"
            write_durably(file, pa.Table.from_arrays(arrays, schema=_SCHEMA.with_metadata(FILE.metadata())))

    def read(self, shard: int) -> Iterator[SpooledBlock]:
        """Read the blocks of one shard, in the order of the log; their append times ascend.

        Raises
        ------
        StateError
            When a file is damaged, or has a version that is not read.
        """
        number, latest_ms = 0, 0
        for path in sorted(self._work.glob(f"{self._prefix}*.parquet")):
            for row in _rows(path):
                if row["shard"] == shard:
                    latest_ms = max(latest_ms, row["appended"])
                    yield SpooledBlock(latest_ms, self._partition, number, row["block"])
                    number += 1


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    what = f"the file of blocks {path}"
    with FILE.reading(what):
        blocks = pq.ParquetFile(path)
        FILE.check_metadata(blocks.schema_arrow.metadata, what)
        batches = blocks.iter_batches(_BATCH_BLOCKS)
    while True:
        with FILE.reading(what):
            batch = next(batches, None)
        if batch is None:
            return
        yield from batch.to_pylist()


def merged_blocks(
    work: Path, definition: str, partitions: Sequence[int], shard: int
) -> Iterator[SpooledBlock]:
    """Read the blocks of all partitions for one shard, in the order of their append times."""
    return heapq.merge(*(BlockFiles(work, definition, partition).read(shard) for partition in partitions))
