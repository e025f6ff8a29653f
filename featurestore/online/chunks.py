"""Rows on their way to Redis: all to one server, or in a cluster each to the owner of its key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.featurestore.redis_codec.column_encoder import Provenance, ViewEncoder
from headrace.featurestore.redis_codec.row_encoder import Column, bulk
from headrace.streams.connections.redis import RedisNodes
from headrace.streams.connections.redis_updates import WRITE_FIELDS, HashUpdate, field_words


class Chunk(Protocol):
    """Some commands, in order."""

    def __len__(self) -> int: ...

    def by_server(self, nodes: RedisNodes) -> Iterator[tuple[str, bytes, int]]:
        """Server, commands packed, and how many they are."""


@dataclass(frozen=True)
class RowChunk:
    """Rows of one view; see `ViewEncoder.commands`."""

    encoder: ViewEncoder
    keys: Sequence[Any]
    features: Sequence[Column]
    times_us: NDArray[np.int64]
    provenance: Provenance | None

    def __len__(self) -> int:
        return len(self.keys[0])

    def part(self, rows: slice | NDArray[np.int64]) -> RowChunk:
        """Some of the rows, in their order."""
        if isinstance(rows, slice) and rows.start == 0 and rows.stop == len(self):
            return self
        keys = [_some(column, rows) for column in self.keys]
        features = [(_some(values, rows), valid[rows]) for values, valid in self.features]
        times_us = self.times_us if len(self.times_us) == 1 else self.times_us[rows]
        return RowChunk(self.encoder, keys, features, times_us, self.provenance)

    def commands(self) -> bytes:
        return self.encoder.commands(self.keys, self.features, self.times_us, self.provenance)

    def one_by_one(self) -> tuple[list[bytes], list[bytes]]:
        """The key and the command of each row."""
        rows = (self.part(slice(row, row + 1)) for row in range(len(self)))
        return self.encoder.redis_keys(self.keys), [row.commands() for row in rows]

    def by_server(self, nodes: RedisNodes) -> Iterator[tuple[str, bytes, int]]:
        if not nodes.clustered:
            yield "", self.commands(), len(self)
            return
        rows: dict[str, list[int]] = {}
        for row, key in enumerate(self.encoder.redis_keys(self.keys)):
            rows.setdefault(nodes.owner(key), []).append(row)
        for server, own in rows.items():
            yield server, self.part(np.array(own)).commands(), len(own)


@dataclass(frozen=True)
class HashChunk:
    """Fields of one hash, in text, that stand for a prefix of a log."""

    update: HashUpdate

    def __len__(self) -> int:
        return 1

    def by_server(self, nodes: RedisNodes) -> Iterator[tuple[str, bytes, int]]:
        key = self.update.key
        words = ["EVALSHA", WRITE_FIELDS.digest, "1", key, *field_words(self.update)]
        packed = b"*%d\r\n" % len(words) + b"".join(bulk(word.encode()) for word in words)
        yield nodes.owner(key.encode()), packed, 1


@dataclass(frozen=True)
class CountChunk:
    """A number that is added to a field of a hash."""

    key: str
    field: str
    number: int

    def __len__(self) -> int:
        return 1

    def by_server(self, nodes: RedisNodes) -> Iterator[tuple[str, bytes, int]]:
        words = ("HINCRBY", self.key, self.field, str(self.number))
        packed = b"*4\r\n" + b"".join(bulk(word.encode()) for word in words)
        yield nodes.owner(self.key.encode()), packed, 1


def by_server(chunks: Sequence[Chunk], nodes: RedisNodes) -> list[tuple[str, bytes, int]]:
    """Server, commands packed, and how many they are; per server in the order of the chunks."""
    parts: dict[str, list[bytes]] = {}
    counts: dict[str, int] = {}
    for chunk in chunks:
        for server, commands, count in chunk.by_server(nodes):
            parts.setdefault(server, []).append(commands)
            counts[server] = counts.get(server, 0) + count
    return [(server, b"".join(own), counts[server]) for server, own in parts.items()]


def _some(values: Any, rows: slice | NDArray[np.int64]) -> Any:
    """Of an array, or of a list of texts."""
    if isinstance(rows, slice) or isinstance(values, np.ndarray):
        return values[rows]
    return [values[row] for row in rows]
