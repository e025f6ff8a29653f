"""Whatever is in an event topic or a shuffle, a worker goes on, and every record is counted."""

from __future__ import annotations

import time
from typing import Any

import pytest

from headrace.schemas.avro import encode_confluent
from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.errors import StateError
from headrace.schemas.event_times import LATEST_MS
from headrace.streams.log.records import LogRecord, LogRecords
from headrace.streams.state.shard import Shard
from headrace.streams.state.source_partition import SourcePartition
from tests.support.fuzz import NOW_MS, VALUES, Fuzz
from tests.support.purchases import EVENT_SCHEMA, purchases_plan

FEW = [(seed, 700) for seed in (1, 2)]
MANY = [pytest.param(seed, 50_000, marks=pytest.mark.faults) for seed in range(10, 18)]
NUMBERS = [value for value in VALUES if type(value) is int and -(2**63) <= value < 2**63]
FLOATS = [value for value in VALUES if isinstance(value, float)]
TEXTS = [value for value in VALUES if isinstance(value, str)]


def purchase(fuzz: Fuzz, n: int) -> bytes:
    choose = fuzz.chance.choice
    fields: dict[str, Any] = {
        "user": choose([1, 2, choose(NUMBERS)]),
        "shop": choose(["a", "b", choose(TEXTS)]),
        "amount": choose([1.5, None, choose(FLOATS)]),
        "items": choose([3, None, 2**31 - 1]),
        "note": choose(TEXTS),
        "event_ms": choose([NOW_MS + n, NOW_MS + n, choose(NUMBERS)]),
    }
    return encode_confluent(EVENT_SCHEMA, 7, fields)


def read_again(letters: list[DeadLetter]) -> None:
    """Letters are bytes that a topic takes and a reader reads."""
    for letter in letters:
        raw = letter.to_bytes()
        assert len(raw) < 8 << 20
        assert DeadLetter.model_validate_json(raw) == letter


@pytest.mark.parametrize(("seed", "count"), [*FEW, *MANY])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_record_of_an_event_topic_is_applied_late_dead_or_a_mark(seed: int, count: int) -> None:
    fuzz, plan = Fuzz(seed), purchases_plan(late_tiles=10**6, max_future_ms=60_000)
    partition = SourcePartition(plan, plan.sources[0], 0)
    shards = [Shard(plan, plan.sources[0], n) for n in range(2)]
    refused, damaged = [0, 0], [0, 0]
    offsets = [0, 0]
    for records in fuzz.ranges(count, lambda n: fuzz.bytes_of(purchase(fuzz, n))):
        effects = partition.process(records)
        read_again(effects.rejected)
        counts = partition.intake.counts
        clock_ms = partition.intake.clock_ms
        assert clock_ms is None or clock_ms <= time.time() * 1000 + 60_000
        for shard, block in zip(shards, effects.blocks, strict=True):
            n = shard.partition
            values = [block] if fuzz.chance.random() < 0.7 else [fuzz.bytes_of(block), block]
            found = [LogRecord(offsets[n] + k, LATEST_MS, None, value) for k, value in enumerate(values)]
            offsets[n] += len(values)
            damaged[n] += len(values) - 1
            try:
                after = shard.process(LogRecords.of(found))
            except StateError:  # the version is another one now: refused by decision 19
                after = shard.process(LogRecords.of(found[-1:]))
            read_again(after.rejected)
            refused[n] += sum(letter.kind == "malformed" for letter in after.rejected)
    assert counts.applied + counts.late + counts.dead + counts.marks == count
    assert counts.applied
    assert counts.applied + counts.late > count / 20
    assert counts.dead > count / 20
    for shard in shards:
        assert shard.next_offset == offsets[shard.partition]
        assert refused[shard.partition] <= damaged[shard.partition]
