"""Chunks: rows cut, selected and shared out over servers are encoded as the same commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hiredis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.online.chunks import CountChunk, HashChunk, RowChunk, by_server
from headrace.featurestore.redis_codec.column_encoder import ViewEncoder
from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec
from headrace.streams.columnar.lists import Lists
from headrace.streams.connections.redis_updates import COUNT_ONCE, HashUpdate

VIEW = BatchViewSpec(
    name="v",
    join_keys=(FieldSpec(name="k", dtype="Int64"), FieldSpec(name="name", dtype="String")),
    features=(
        FieldSpec(name="n", dtype="Int64"),
        FieldSpec(name="text", dtype="String"),
        FieldSpec(name="numbers", dtype="Array(Float64)"),
        FieldSpec(name="texts", dtype="Set(String)"),
    ),
)


class Nodes:
    """Servers that share keys out by their bytes; one without a name where it is no cluster."""

    def __init__(self, *servers: str) -> None:
        self.clustered, self._servers = bool(servers), servers or ("",)

    def owner(self, key: bytes) -> str:
        return self._servers[sum(key) % len(self._servers)]


def rows(count: int, times: int) -> RowChunk:
    numbers, valid = np.arange(count), np.arange(count) % 3 > 0
    texts = [b"%d" % number for number in range(count)]
    lengths = numbers % 4
    lists = Lists(np.arange(float(lengths.sum())), lengths)
    text_lists = Lists([b"%d" % number for number in range(lengths.sum())], lengths)
    whole = np.ones(count, np.bool_)
    features = [(numbers, valid), (texts, whole), (lists, valid), (text_lists, whole)]
    times_us, provenance = np.arange(times) * 1000, (1, 2, 3, b"s" * 8)
    return RowChunk(ViewEncoder("p", VIEW), [numbers, texts], features, times_us, provenance)


def commands(packed: bytes) -> list[list[bytes]]:
    reader = hiredis.Reader()
    reader.feed(packed)
    found: list[list[bytes]] = []
    while (words := reader.gets()) is not False:
        found.append(words)
    return found


@given(st.integers(0, 130), st.integers(1, 60), st.booleans())
def test_rows_that_are_cut_are_the_same_commands(count: int, size: int, one_time: bool) -> None:
    chunk = rows(count, 1 if one_time else count)
    parts = list(chunk.split(size))
    assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)
    every = [command for part in parts for command in commands(part.commands())]
    assert every == (commands(chunk.commands()) if count else [])


def test_a_chunk_that_is_not_cut_is_taken_as_it_is() -> None:
    chunk = rows(5, 5)
    assert list(chunk.split(5)) == [chunk]


@given(st.integers(1, 80), st.integers(1, 4))
def test_each_server_gets_the_rows_that_it_owns(count: int, servers: int) -> None:
    chunk, nodes = rows(count, count), Nodes(*(f"server:{n}" for n in range(servers)))
    shares = list(chunk.by_server(nodes))  # type: ignore[arg-type]
    for share in shares:
        assert len(commands(share.packed)) == share.count
        assert {nodes.owner(words[1]) for words in commands(share.packed)} == {share.server}
    every = [words for share in shares for words in commands(share.packed)]
    assert sorted(every) == sorted(commands(chunk.commands()))


def test_a_row_by_itself_has_its_key_and_its_command() -> None:
    chunk = rows(60, 60)
    keys, by_row = chunk.commands_by_row()
    assert b"".join(by_row) == b"".join(part.commands() for part in chunk.split(1))
    assert [commands(command)[0][1] for command in by_row] == keys


@pytest.mark.parametrize("servers", [(), ("a:1", "b:2")])
def test_commands_of_all_chunks_are_gathered_by_server_in_order(servers: Sequence[str]) -> None:
    nodes: Any = Nodes(*servers)
    chunks = [
        rows(3, 3),
        HashChunk(HashUpdate("progress", "log", 5, {"f": "é"})),
        CountChunk("alarms", "two|s", 7, "me", 3),
        rows(2, 2),
    ]
    shares = by_server(chunks, nodes)
    assert len(shares) == len({share.server for share in shares})
    assert sum(share.count for share in shares) == 7
    gathered = {share.server: commands(share.packed) for share in shares}
    for server, found in gathered.items():
        alone = [share for chunk in chunks for share in chunk.by_server(nodes) if share.server == server]
        assert found == [words for share in alone for words in commands(share.packed)]
    (count,) = [words for found in gathered.values() for words in found if words[3] == b"alarms"]
    assert count == [b"EVALSHA", COUNT_ONCE.digest.encode(), b"1", b"alarms", b"@me", b"3", b"two|s", b"7"]
