"""The shuffle: accepted records of one range, repartitioned by join key as columnar blocks.

Every range makes one block per shard, an empty one where the shard gets no record, so that a shard knows how
far each source partition has been read. A block holds, behind a small header, one array after the other for
each group of views: the rows whose join key falls on the shard, in the columns the group reads. After a crash
blocks may come twice, of other ranges: a shard skips what it has by the offsets at the source. A checksum
ends a block: with another digit in its range, a shard would skip what it does not have.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.avro import Column
from headrace.schemas.encodings import UNVERSIONED, Encoding
from headrace.schemas.errors import RecordError, StateError
from headrace.schemas.event_times import EARLIEST_MS, LATEST_MS
from headrace.schemas.marks import MOST_PARTITIONS
from headrace.streams.columnar.batch import Batch
from headrace.streams.columnar.keys import distinct, encode_key, key_at
from headrace.streams.log.partitioner import partition_for

BLOCK = Encoding(
    version=2,
    older=(UNVERSIONED, 1),
    remedy="run workers of that version until they have read the shuffle topic to its end",
)
_LAST_UNCHECKED = 1  # version of blocks without a checksum; those of all later ones end with it
_CHECKSUM_BYTES = 4
_MOST_OFFSET = 2**50  # times the number of partitions it is still an integer of 64 bits


@dataclass(frozen=True)
class Block:
    """Rows of the range ``[first, next_offset)`` of a source partition for one shard.

    Attributes
    ----------
    definition
        Fingerprint of the views that the block was made for.
    partition, first, next_offset
        The range.
    clock_ms
        Clock of the source partition behind the range, epoch milliseconds; None before its first record.
    groups
        Name of a group of views to its rows.
    """

    definition: str
    partition: int
    first: int
    next_offset: int
    clock_ms: int | None
    groups: Mapping[str, Batch]


def shard_of(columns: tuple[NDArray[Any], ...], shards: int) -> NDArray[np.int64]:
    """Return the shard of every row, shape (n,): Kafka's hash of the encoded key.

    >>> shard_of((np.array([1, 2, 3, 4, 1]),), 4).tolist()
    [2, 3, 0, 2, 2]
    """
    if shards == 1 or not len(columns[0]):
        return np.zeros(len(columns[0]), np.int64)
    first, inverse = distinct(columns)
    shard = [partition_for(encode_key(key_at(columns, row)), shards) for row in first.tolist()]
    return np.array(shard, np.int64)[inverse]


def encode_block(block: Block) -> bytes:
    """Return a block as bytes.

    These are the length of the header (u32 LE), the header in JSON, the arrays one by one, and the CRC-32 of
    all that (u32 LE).
    """
    groups, bodies = [], []
    for name, batch in block.groups.items():
        arrays = _arrays(batch)
        groups.append([name, list(batch.columns), [array.dtype.str for array in arrays], len(batch)])
        bodies += [np.ascontiguousarray(array).tobytes() for array in arrays]
    header = json.dumps(
        {
            "v": BLOCK.version,
            "definition": block.definition,
            "partition": block.partition,
            "first": block.first,
            "next": block.next_offset,
            "clock_ms": block.clock_ms,
            "groups": groups,
        }
    ).encode()
    raw = b"".join([len(header).to_bytes(4, "little"), header, *bodies])
    return raw + zlib.crc32(raw).to_bytes(_CHECKSUM_BYTES, "little")


def decode_block(raw: bytes | None, offset: int) -> Block:
    """Inverse of `encode_block`; `offset` is the block's own in the shuffle topic.

    Raises
    ------
    RecordError
        When the bytes are no block.
    StateError
        When the block has a version that is not read.
    """
    with _reading():
        view = memoryview(raw or b"")
        header, body, end = _header(view)
        groups = {}
        for name, columns, dtypes, rows in header["groups"]:
            groups[str(name)] = _decode_batch(columns, dtypes, rows, view[body:], offset)
            body += rows * sum(np.dtype(dtype).itemsize for dtype in dtypes)
        if body != end:
            raise ValueError(f"{end} bytes where {body} are announced")
        return Block(str(header["definition"]), *_range_of(header), _clock_of(header), groups)


def block_range(raw: bytes | None) -> tuple[str, int, int]:
    """Return definition, source partition and next offset there of a block; raises as `decode_block` does."""
    with _reading():
        header, *_ = _header(memoryview(raw or b""))
        partition, _, next_offset = _range_of(header)
        return str(header["definition"]), partition, next_offset


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except StateError:
        raise
    except Exception as error:  # whatever numpy and the header make of foreign bytes
        raise RecordError(
            f"not a shuffle block: {type(error).__name__}: {error}; see who writes to the topic: if it was "
            "a worker's, read the event topic again from its beginning"
        ) from error


def _header(view: memoryview) -> tuple[Mapping[str, Any], int, int]:
    """Return the header of a block, and where its arrays begin and end."""
    body = 4 + int.from_bytes(view[:4], "little")
    header: Mapping[str, Any] = json.loads(bytes(view[4:body]))
    version = header.get("v", UNVERSIONED)
    if type(version) is not int or version < UNVERSIONED:
        raise ValueError(f"{version!r} is no version")
    end = len(view) - (_CHECKSUM_BYTES if version > _LAST_UNCHECKED else 0)
    if end < len(view) and zlib.crc32(view[:end]) != int.from_bytes(view[end:], "little"):
        raise ValueError("its checksum is another")
    where = f"partition {header.get('partition')}, offset {header.get('first')}"
    BLOCK.check(header, f"the shuffle block that begins at the source's {where},")
    return header, body, end


def _range_of(header: Mapping[str, Any]) -> tuple[int, int, int]:
    partition, first, next_offset = header["partition"], header["first"], header["next"]
    if not 0 <= partition < MOST_PARTITIONS or not 0 <= first <= next_offset <= _MOST_OFFSET:
        raise ValueError(f"no range of a partition: {partition}, [{first}, {next_offset})")
    return int(partition), int(first), int(next_offset)


def _clock_of(header: Mapping[str, Any]) -> int | None:
    clock_ms = header["clock_ms"]
    if clock_ms is not None and not EARLIEST_MS <= clock_ms <= LATEST_MS:
        raise ValueError(f"no clock: {clock_ms}")
    return None if clock_ms is None else int(clock_ms)


def _arrays(batch: Batch) -> list[NDArray[Any]]:
    columns = [array for column in batch.columns.values() for array in (column.values, column.valid)]
    return [batch.event_ms, batch.order, *columns]


def _decode_batch(names: list[str], dtypes: list[str], rows: int, raw: memoryview, offset: int) -> Batch:
    arrays, start = [], 0
    for dtype in map(np.dtype, dtypes):
        arrays.append(np.frombuffer(raw, dtype, rows, start))
        start += rows * dtype.itemsize
    flags = [arrays[0].dtype == np.int64, arrays[1].dtype == np.int64]
    if not all([*flags, *(valid.dtype == np.bool_ for valid in arrays[3::2])]):
        raise ValueError(f"arrays of other types: {dtypes}")
    columns = {name: Column(arrays[2 + 2 * n], arrays[3 + 2 * n]) for n, name in enumerate(names)}
    return Batch(arrays[0], arrays[1], np.full(rows, offset, np.int64), columns)


def split(batch: Batch, join_keys: Iterable[str], shards: int) -> list[Batch]:
    """Return the rows of a batch by shard."""
    shard = shard_of(tuple(batch.columns[name].values for name in join_keys), shards)
    return [batch.take(shard == number) for number in range(shards)]
