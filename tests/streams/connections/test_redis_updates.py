"""What stands for an earlier prefix of a log never replaces what stands for a later one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from headrace.featurestore.redis_codec import layout
from headrace.streams.connections.redis_updates import (
    ELSEWHERE,
    MISSING,
    NEWER,
    OLDER,
    SAME,
    HashUpdate,
    Script,
    restore_script,
    row_script,
    write_fields,
)
from tests.support.properties import tries

A, B = b"a" * 8, b"b" * 8
WRITE_ROW, RESTORE_ROW = row_script(), restore_script()


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as connection:
        yield connection


class Row:
    def __init__(self, client: redis.Redis, key: str) -> None:
        self._client, self._key = client, key

    def write(
        self,
        value: str,
        partition: int,
        offset: int,
        as_of_ms: int,
        state: bytes = A,
        by: Script = WRITE_ROW,
    ) -> int:
        provenance = layout.PROVENANCE.pack(partition, offset, as_of_ms, state)
        return int(self._client.eval(by.text, 1, self._key, "value", value, "p", provenance))

    @property
    def value(self) -> str:
        return (self._client.hget(self._key, "value") or b"").decode()


@pytest.fixture
def row(client: redis.Redis, project: str) -> Row:
    return Row(client, f"{project}:row")


def test_a_row_advances_and_never_goes_back(row: Row) -> None:
    assert row.write("first", 0, 10, 500) == MISSING
    assert row.write("later", 0, 12, 400) == OLDER
    assert row.write("of a paused worker", 0, 11, 900) == NEWER
    assert row.write("of an older clock", 0, 12, 399) == NEWER
    assert row.value == "later"
    assert row.write("later", 0, 12, 400) == SAME
    assert row.write("emptied", 0, 12, 401) == OLDER
    assert row.value == "emptied"


def test_offsets_beyond_what_a_double_can_tell_apart_in_practice_compare(row: Row) -> None:
    assert row.write("far", 0, 2**52, 1) == MISSING
    assert row.write("before", 0, 2**52 - 1, 2) == NEWER
    assert row.write("behind", 0, 2**52 + 1, 1) == OLDER


def test_a_row_of_another_partition_is_replaced_and_reported(row: Row) -> None:
    row.write("mine", 0, 100, 1)
    assert row.write("of another partition", 3, 5, 1) == ELSEWHERE
    assert row.value == "of another partition"
    assert row.write("restored", 0, 200, 1, by=RESTORE_ROW) == ELSEWHERE
    assert row.value == "of another partition"


def test_another_state_begins_anew(row: Row) -> None:
    row.write("old definition", 0, 100, 1)
    assert row.write("new definition", 0, 5, 1, B) == OLDER
    assert row.value == "new definition"


def test_a_row_from_before_rows_named_their_state_gives_way(
    client: redis.Redis, project: str, row: Row
) -> None:
    before = layout.PREFIX.pack(0, 100, 1)
    client.hset(f"{project}:row", mapping={"value": "old", "p": before})
    assert row.write("new", 0, 5, 1) == OLDER


positions = st.tuples(st.integers(0, 4), st.integers(0, 3))  # offset, as-of time


@tries(60, HealthCheck.function_scoped_fixture)
@given(writes=st.lists(positions, min_size=1, max_size=8))
def test_readers_see_positions_ascend_whoever_writes(client: redis.Redis, project: str, writes: list) -> None:
    key = f"{project}:{next(_numbers)}"
    row, seen = Row(client, key), []
    for offset, as_of_ms in writes:
        row.write(f"{offset}/{as_of_ms}", 0, offset, as_of_ms)
        seen.append(tuple(map(int, row.value.split("/"))))
    assert seen == list(itertools.accumulate(writes, max))
    client.delete(key)


_numbers = itertools.count()


def test_fields_of_a_later_prefix_stay(client: redis.Redis, project: str) -> None:
    key = f"{project}:fields"

    def write(offset: int, state: bytes = A, **fields: str) -> dict[bytes, bytes]:
        write_fields(client, [HashUpdate(key, "log", offset, fields, state)])
        return {name: value for name, value in client.hgetall(key).items() if not name.startswith(b"@")}

    assert write(5, a="5", b="5") == {b"a": b"5", b"b": b"5"}
    assert write(4, a="4", c="4") == {b"a": b"5", b"b": b"5"}
    assert write(5, a="five") == {b"a": b"five", b"b": b"5"}
    assert write(6, a="6") == {b"a": b"6", b"b": b"5"}
    assert write(1, B, a="1") == {b"a": b"1", b"b": b"5"}
