"""Rows on their way to Redis: all to one server, or in a cluster each to the server that owns its key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.featurestore.redis_codec.column_encoder import RowProvenance, ViewEncoder
from headrace.featurestore.redis_codec.row_encoder import Column, bulk
from headrace.streams.columnar.lists import Lists
from headrace.streams.connections.redis import RedisNodes
from headrace.streams.connections.redis_updates import (
    COUNT_ONCE,
    PREFIX_MARK,
    WRITE_FIELDS,
    HashUpdate,
    field_words,
)


@dataclass(frozen=True)
class ServerCommands:
    """Commands for one server.

    Attributes
    ----------
    server
        The server, as `RedisNodes` names it.
    packed
        The commands in the Redis protocol.
    count
        Their number, and so the number of replies.
    """

    server: str
    packed: bytes
    count: int


class Chunk(Protocol):
    """Some commands, in order."""

    def __len__(self) -> int: ...

    def by_server(self, nodes: RedisNodes) -> Iterator[ServerCommands]:
        """Encode the commands, those of each server together."""


@dataclass(frozen=True)
class RowChunk:
    """Rows of one view; columns, times and provenance as `ViewEncoder.commands` takes them."""

    encoder: ViewEncoder
    keys: Sequence[Any]
    features: Sequence[Column]
    times_us: NDArray[np.int64]
    provenance: RowProvenance | None

    def __len__(self) -> int:
        return len(self.features[0][1])

    def take(self, rows: slice | NDArray[np.int64]) -> RowChunk:
        """Select rows, in their order."""
        if isinstance(rows, slice) and rows.start == 0 and rows.stop == len(self):
            return self
        keys = [_take(column, rows) for column in self.keys]
        features = [(_take(values, rows), valid[rows]) for values, valid in self.features]
        times_us = self.times_us if len(self.times_us) == 1 else self.times_us[rows]
        return RowChunk(self.encoder, keys, features, times_us, self.provenance)

    def split(self, size: int) -> Iterator[RowChunk]:
        """Cut the rows into chunks of at most `size`."""
        for start in range(0, len(self), size):
            yield self.take(slice(start, min(start + size, len(self))))

    def commands(self) -> bytes:
        """Encode one command per row."""
        return self.encoder.commands(self.keys, self.features, self.times_us, self.provenance)

    def commands_by_row(self) -> tuple[list[bytes], list[bytes]]:
        """Encode the key and the command of each row."""
        rows = (self.take(slice(row, row + 1)) for row in range(len(self)))
        return self.encoder.redis_keys(self.keys, len(self)), [row.commands() for row in rows]

    def by_server(self, nodes: RedisNodes) -> Iterator[ServerCommands]:
        if not nodes.clustered:
            yield ServerCommands("", self.commands(), len(self))
            return
        rows_by_server: dict[str, list[int]] = {}
        for row, key in enumerate(self.encoder.redis_keys(self.keys, len(self))):
            rows_by_server.setdefault(nodes.owner(key), []).append(row)
        for server, rows in rows_by_server.items():
            yield ServerCommands(server, self.take(np.array(rows)).commands(), len(rows))


@dataclass(frozen=True)
class HashChunk:
    """Fields of one hash that stand for a prefix of a log; those of a later prefix stay."""

    update: HashUpdate

    def __len__(self) -> int:
        return 1

    def by_server(self, nodes: RedisNodes) -> Iterator[ServerCommands]:
        key = self.update.key
        words = ["EVALSHA", WRITE_FIELDS.digest, "1", key, *field_words(self.update)]
        yield ServerCommands(nodes.owner(key.encode()), _packed(words), 1)


@dataclass(frozen=True)
class CountChunk:
    """A number that is added to a field of a hash, once however often it is sent.

    Attributes
    ----------
    process
        Names the process that counts.
    batch
        Number of the batch that is counted; each is stored before the next one of its process is sent.
    """

    key: str
    field: str
    number: int
    process: str
    batch: int

    def __len__(self) -> int:
        return 1

    def by_server(self, nodes: RedisNodes) -> Iterator[ServerCommands]:
        counted = [f"{PREFIX_MARK}{self.process}", str(self.batch), self.field, str(self.number)]
        words = ["EVALSHA", COUNT_ONCE.digest, "1", self.key, *counted]
        yield ServerCommands(nodes.owner(self.key.encode()), _packed(words), 1)


def by_server(chunks: Sequence[Chunk], nodes: RedisNodes) -> list[ServerCommands]:
    """Encode chunks, the commands of each server together and in the order of the chunks."""
    packed: dict[str, list[bytes]] = {}
    counts: dict[str, int] = {}
    for chunk in chunks:
        for commands in chunk.by_server(nodes):
            packed.setdefault(commands.server, []).append(commands.packed)
            counts[commands.server] = counts.get(commands.server, 0) + commands.count
    return [ServerCommands(server, b"".join(parts), counts[server]) for server, parts in packed.items()]


def _take(values: Any, rows: slice | NDArray[np.int64]) -> Any:
    """Select from an array, `Lists`, or a list of texts."""
    if isinstance(rows, slice) or isinstance(values, np.ndarray):
        return values[rows]
    return values.take(rows) if isinstance(values, Lists) else [values[row] for row in rows]


def _packed(words: Sequence[str]) -> bytes:
    """One command in the Redis protocol."""
    return b"*%d\r\n" % len(words) + b"".join(bulk(word.encode()) for word in words)
