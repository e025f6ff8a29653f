"""The shuffle: accepted records of one range, repartitioned by join key as columnar blocks.

Every range makes one block per shard, an empty one where the shard gets no record, so that a shard knows how
far each source partition has come. A block is an Arrow stream with a table per group of views (rows whose
join key falls on the shard) behind a JSON header. Blocks may come twice after a crash, and cut differently:
a shard recognises what it has by the offsets at the source.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.avro import Column
from schemas.errors import RecordError
from streams.batch import Batch
from streams.keys import distinct, encode_key, key_at
from streams.partitioning import partition_for


@dataclass(frozen=True)
class Block:
    """What the range ``[first, next_offset)`` of a source partition holds for one shard.

    `definition` is the hash of the views it was made for; `groups` maps the name of a group of views to its
    rows.
    """

    definition: str
    partition: int
    first: int
    next_offset: int
    clock_ms: int | None
    groups: Mapping[str, Batch]


def shard_of(columns: tuple[NDArray[Any], ...], shards: int) -> NDArray[np.int64]:
    """The shard of every row, shape (n,): Kafka's hash of the encoded key."""
    if shards == 1 or not len(columns[0]):
        return np.zeros(len(columns[0]), np.int64)
    first, inverse = distinct(columns)
    shard = [partition_for(encode_key(key_at(columns, row)), shards) for row in first.tolist()]
    return np.array(shard, np.int64)[inverse]


def encode_block(block: Block) -> bytes:
    """A block as bytes: length of the header, header, then one Arrow stream per group."""
    bodies = [_encode_batch(batch) for batch in block.groups.values()]
    header = json.dumps(
        {
            "definition": block.definition,
            "partition": block.partition,
            "first": block.first,
            "next": block.next_offset,
            "clock_ms": block.clock_ms,
            "groups": [[name, len(body)] for name, body in zip(block.groups, bodies, strict=True)],
        }
    ).encode()
    return b"".join([len(header).to_bytes(4, "little"), header, *bodies])


def decode_block(raw: bytes | None, offset: int) -> Block:
    """The inverse of `encode_block`; `offset` is the block's own, the position of the shard.

    Raises
    ------
    RecordError
        When the bytes are no block.
    """
    try:
        assert raw is not None
        body = 4 + int.from_bytes(raw[:4], "little")
        header = json.loads(raw[4:body])
        groups = {}
        for name, size in header["groups"]:
            groups[name] = _decode_batch(raw[body : body + size], offset)
            body += size
        return Block(
            header["definition"],
            header["partition"],
            header["first"],
            header["next"],
            header["clock_ms"],
            groups,
        )
    except (AssertionError, ValueError, KeyError, TypeError, pa.ArrowInvalid) as error:
        raise RecordError(f"not a shuffle block: {type(error).__name__}: {error}") from error


def _encode_batch(batch: Batch) -> bytes:
    if not len(batch):
        return b""
    arrays = {"#event_ms": pa.array(batch.event_ms), "#order": pa.array(batch.order)}
    for name, column in batch.columns.items():
        binary = column.values.dtype.kind == "S"
        values = column.values.astype(object) if binary else column.values
        kind = pa.binary() if binary else None
        arrays[name] = pa.array(values, kind, mask=~column.valid)
    table = pa.record_batch(arrays)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_batch(table)
    raw: bytes = sink.getvalue().to_pybytes()
    return raw


def _decode_batch(raw: bytes, offset: int) -> Batch:
    if not raw:
        none = np.zeros(0, np.int64)
        return Batch(none, none, none, {})
    table = pa.ipc.open_stream(raw).read_next_batch()
    columns = dict(zip(table.schema.names, table.columns, strict=True))
    event_ms, order = columns.pop("#event_ms"), columns.pop("#order")
    return Batch(
        event_ms.to_numpy(),
        order.to_numpy(),
        np.full(len(order), offset, np.int64),
        {name: _column(array) for name, array in columns.items()},
    )


def _column(array: Any) -> Column:
    valid = np.asarray(array.is_valid())
    if array.type == pa.binary():
        return Column(np.array([v or b"" for v in array.to_pylist()], np.bytes_), valid)
    filled = array.fill_null(False if array.type == pa.bool_() else 0)
    return Column(filled.to_numpy(zero_copy_only=False), valid)


def split(batch: Batch, join_keys: Iterable[str], shards: int) -> list[Batch]:
    """The rows of a batch by shard."""
    shard = shard_of(tuple(batch.columns[name].values for name in join_keys), shards)
    return [batch.take(shard == number) for number in range(shards)]
