"""Blocks of a shuffle that no worker wrote: each is a dead letter, and the shard goes on with the others."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from headrace.schemas.avro import Column, encode_confluent
from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.errors import StateError
from headrace.streams.columnar.batch import Batch
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.state.shard import Shard
from headrace.streams.state.shuffle import Block, decode_block, encode_block
from headrace.streams.state.source_partition import SourcePartition
from tests.support.fuzz import NOW_MS, VALUES
from tests.support.golden.stream_states import newer_blocks
from tests.support.purchases import EVENT_SCHEMA, purchases_plan

PLAN = purchases_plan(shards=1, ever=("by_shop",))
SOURCE = PLAN.sources[0]
Forge = Callable[[Block], Block]


def blocks(count: int = 3) -> list[bytes]:
    """Blocks of ranges of three purchases, as a worker makes them."""
    partition = SourcePartition(PLAN, SOURCE, 0)
    made = []
    for n in range(0, 3 * count, 3):
        values = [purchase(n + k) for k in range(3)]
        records = [LogRecord(n + k, NOW_MS + 60_000, None, value) for k, value in enumerate(values)]
        made += partition.process(LogRecords.of(records)).blocks
    return made


def purchase(n: int) -> bytes:
    fields = {"user": n % 2, "shop": f"shop {n % 3}", "amount": n * 0.5, "items": n, "note": ""}
    return encode_confluent(EVENT_SCHEMA, 7, {**fields, "event_ms": NOW_MS + n})


def process(shard: Shard, *values: bytes | None) -> list[DeadLetter]:
    first = shard.next_offset
    records = [LogRecord(first + n, NOW_MS + 60_000, None, value) for n, value in enumerate(values)]
    return shard.process(LogRecords.of(records)).rejected


def of_groups(block: Block, change: Callable[[Batch], Batch]) -> Block:
    return replace(block, groups={name: change(batch) for name, batch in block.groups.items()})


def with_column(name: str, values: object, valid: object | None = None) -> Forge:
    def changed(batch: Batch) -> Batch:
        made = np.array([values] * len(batch)) if not isinstance(values, np.ndarray) else values
        flags = batch.columns[name].valid if valid is None else np.asarray(valid)
        return replace(batch, columns={**batch.columns, name: Column(made, flags)})

    return lambda block: of_groups(block, changed)


def without_column(block: Block) -> Block:
    return of_groups(
        block, lambda b: replace(b, columns={n: c for n, c in b.columns.items() if n != "amount"})
    )


FORGED: Mapping[str, Forge] = {
    "another group": lambda b: replace(b, groups={**b.groups, "nothing": next(iter(b.groups.values()))}),
    "an empty group": lambda b: replace(
        b, groups={**b.groups, "nothing": replace(next(iter(b.groups.values())), columns={})}
    ),
    "a group less": lambda b: replace(b, groups=dict(list(b.groups.items())[1:])),
    "no group": lambda b: replace(b, groups={}),
    "a column less": without_column,
    "texts for numbers": with_column("amount", b"much"),
    "the other byte order": with_column("amount", np.array([1.0, 2.0, 3.0], ">f8")),
    "no sum": with_column("amount", 1e300),
    "infinity": with_column("amount", float("inf")),
    "a text that nothing holds": with_column("shop", b"x" * 70_000),
    "a null join key": with_column("shop", b"", [True, True, False]),
    "truths beyond 1": with_column("amount", 1.0, np.frombuffer(b"\x01\x07\x01", np.bool_)),
    "events before every time": lambda b: of_groups(
        b, lambda batch: replace(batch, event_ms=np.full(len(batch), -(2**62)))
    ),
    "events ahead of its clock": lambda b: of_groups(
        b, lambda batch: replace(batch, event_ms=batch.event_ms + 60_000)
    ),
    "offsets of another range": lambda b: of_groups(
        b, lambda batch: replace(batch, order=batch.order + 2**40)
    ),
    "a clock of tomorrow": lambda b: replace(b, clock_ms=NOW_MS + 86_400_000),
}


@pytest.mark.parametrize("how", FORGED)
def test_a_forged_block_is_a_dead_letter_and_its_neighbours_are_applied(how: str) -> None:
    first, second, third = blocks()
    forged = encode_block(FORGED[how](decode_block(second, 1)))
    shard, undisturbed = Shard(PLAN, SOURCE, 0), Shard(PLAN, SOURCE, 0)
    (letter,) = process(shard, first, forged, third)
    assert (letter.kind, letter.topic, letter.offset) == ("malformed", shard.topic, 1)
    assert letter.original_value == forged
    assert process(undisturbed, first) == process(undisturbed, third) == []
    assert (shard.clock_ms, shard.key_count) == (undisturbed.clock_ms, undisturbed.key_count)
    assert shard.source_offsets == undisturbed.source_offsets


@pytest.mark.parametrize(
    ("seed", "rounds"), [(1, 100), *(pytest.param(n, 20_000, marks=pytest.mark.faults) for n in (2, 3))]
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_whatever_values_a_block_has_the_shard_goes_on_and_can_be_restored(seed: int, rounds: int) -> None:
    chance, shard, turned_away = random.Random(seed), Shard(PLAN, SOURCE, 0), 0
    made = decode_block(blocks(1)[0], 0)
    for n in range(rounds):
        step = n * 3
        block = replace(made, first=step, next_offset=step + 3)
        block = of_groups(block, lambda b, by=step: replace(b, order=b.order + by * 4096))  # type: ignore[misc]
        forged = of_groups(block, lambda batch: forge(batch, chance))
        letters = process(shard, encode_block(forged))
        turned_away += len(letters)
        if chance.random() < 0.05:
            again = Shard(PLAN, SOURCE, 0)
            again.restore(shard.snapshot())
            assert again.next_offset == shard.next_offset
    following = replace(made, first=step + 3, next_offset=step + 6)
    following = of_groups(following, lambda b: replace(b, order=b.order + (step + 3) * 4096))
    assert process(shard, encode_block(following)) == []
    assert 0 < turned_away < rounds


def forge(batch: Batch, chance: random.Random) -> Batch:
    """Put odd values, of the type that it has, into a column."""
    name = chance.choice(sorted(batch.columns))
    column = batch.columns[name]
    kind = column.values.dtype.kind
    fitting = [v for v in VALUES if _fits(v, kind)]
    values = np.array(
        [v.encode() if isinstance(v, str) else v for v in chance.choices(fitting, k=len(batch))]
    )
    valid = np.array(chance.choices([True, True, False], k=len(batch)))
    made = Column(values if kind == "S" else values.astype(column.values.dtype), valid)
    return replace(batch, columns={**batch.columns, name: made})


def _fits(value: object, kind: str) -> bool:
    if kind == "i":
        return type(value) is int and -(2**63) <= value < 2**63
    return isinstance(value, {"f": float, "S": str, "b": bool}[kind])


def test_a_block_of_a_version_that_is_not_read_stops_the_shard_and_says_where_and_what_to_do() -> None:
    """It may be of a worker that is newer: to go on without it would leave records out."""
    first, second, _ = blocks()
    (newer,) = newer_blocks([second])
    shard = Shard(PLAN, SOURCE, 0)
    with pytest.raises(StateError) as caught:
        process(shard, first, newer)
    said = str(caught.value)
    assert f"{shard.topic}[0], offset 1: the shuffle block" in said
    assert "version 9" in said
    assert "run workers of that version until they have read the shuffle topic to its end" in said
    assert "`headrace reset purchases`" in said
    assert (shard.next_offset, shard.key_count) == (0, 0)


@pytest.mark.parametrize("version", [b'"x"', b"-1", b"1.5", b"[]", b"null", b"true", b"1e400"])
def test_what_is_no_version_is_no_block(version: bytes) -> None:
    block = blocks(1)[0]
    body = 4 + int.from_bytes(block[:4], "little")
    header = block[4:body].replace(b'"v": 2', b'"v": ' + version)
    forged = len(header).to_bytes(4, "little") + header + block[body:]
    assert [letter.kind for letter in process(Shard(PLAN, SOURCE, 0), forged)] == ["malformed"]


def test_any_other_bit_is_found_by_the_checksum() -> None:
    """Of a version, a range or a clock as well: each would have the shard stop, or skip what it has not."""
    first, second, _ = blocks()
    shard = Shard(PLAN, SOURCE, 0)
    assert process(shard, first) == []
    for place in range(len(second)):
        for bit in range(8):
            damaged = bytearray(second)
            damaged[place] ^= 1 << bit
            assert [letter.kind for letter in process(shard, bytes(damaged))] == ["malformed"]
    assert shard.source_offsets == {0: 3}
