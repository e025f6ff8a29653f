"""Whatever is in the topics that the join reads, it goes on, and every record is counted."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.schemas.avro import encode_confluent
from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.records import Closing, Example
from headrace.schemas.router_specs import OutcomeSpec
from headrace.streams.join.changelog import decode_key
from headrace.streams.join.config import JoinConfig
from headrace.streams.join.outcome_reader import OutcomeReader
from headrace.streams.join.owned_partition import OwnedPartition
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.state import INPUTS, Input
from headrace.streams.log.records import LogRecords
from tests.support.fuzz import NOW_MS, VALUES, Fuzz
from tests.support.join_builders import a_prediction, a_router, an_outcome, move_order

FEW = [(seed, 700) for seed in (1, 2)]
MANY = [pytest.param(seed, 50_000, marks=pytest.mark.faults) for seed in range(10, 18)]
SCHEMA = json.dumps(
    {
        "type": "record",
        "name": "Order",
        "fields": [
            {"name": "order", "type": ["null", "double"]},
            {"name": "paid", "type": ["null", "double"]},
            {"name": "at", "type": "long"},
        ],
    }
)


def value_of(fuzz: Fuzz, source: Input, n: int) -> bytes | None:
    key = f"k{fuzz.chance.randrange(n + 1)}"
    ts_ms = NOW_MS + n
    if source == "predictions":
        return fuzz.json_of(a_prediction(f"p{n}", key, ts_ms).to_bytes())
    return fuzz.json_of(an_outcome(f"o{n}", key, ts_ms).to_bytes())


@pytest.mark.parametrize("duplicates", ["first", "sum"])
@pytest.mark.parametrize(("seed", "count"), [*FEW, *MANY])
def test_every_prediction_and_outcome_is_counted_once(seed: int, count: int, duplicates: str) -> None:
    fuzz = Fuzz(seed)
    router = a_router(1_000, duplicates=duplicates, missing="negative")
    config = JoinConfig(parked=50, per_key=2)
    join = PartitionJoin(router, config=config)
    owned = OwnedPartition("p", "h", router, 0, join, {}, lambda *_: 0, 60_000, config)
    streams = {
        source: fuzz.ranges(count // 2, lambda n, of=source: value_of(fuzz, of, n), by_broker=True)
        for source in INPUTS
    }
    letters: list[DeadLetter] = []
    for pair in zip(*(streams[source] for source in INPUTS), strict=False):
        for source, records in zip(INPUTS, pair, strict=True):
            offset = owned.inputs.next_offset(source) - int(records.offsets[0])  # order marks are between
            owned.feed(source, SimpleNamespace(value=shifted(records, offset)))
        move_order(owned)
        batch = owned.take_batch()
        assert batch is not None
        for written in batch.records:
            for key, value in written.entries:
                letters += readable(written.topic, key, value)
    counts = join.counts
    kinds = counts.matched, counts.negative, counts.censored, counts.pending
    assert counts.predictions == sum(kinds)
    ends = counts.applied, counts.duplicate, counts.parked, counts.orphan, counts.late, counts.over_quota
    assert counts.outcomes == sum(ends)
    fed = sum(join.next_offsets.values())
    assert fed == sum(map(owned.inputs.next_offset, INPUTS))
    marks = fed - counts.predictions - counts.outcomes - refused(join)
    assert 0 <= marks < fed / 4
    assert counts.parked <= 50
    above = counts.prediction_over_quota + counts.over_quota
    assert len(letters) == counts.malformed + counts.prediction_late + counts.orphan + counts.late + above
    assert min(counts.prediction_over_quota, counts.over_quota) > 0
    assert min(counts.predictions + counts.prediction_late, counts.outcomes, counts.malformed) > fed / 20


def shifted(records: LogRecords, by: int) -> LogRecords:
    """The same records at later offsets."""
    moved = [replace(record, offset=record.offset + by) for record in records]
    taken = LogRecords.of(moved)
    taken.appended[:] = records.appended
    return taken


def refused(join: PartitionJoin) -> int:
    counts = join.counts
    turned = counts.prediction_duplicates + counts.prediction_late + counts.prediction_over_quota
    return counts.malformed + turned


def readable(topic: str, key: bytes | None, value: bytes | None) -> list[DeadLetter]:
    """What the join writes is read by those who read it."""
    if value is None:
        return []
    assert len(value) < 8 << 20
    if "dead-letters" in topic:
        return [DeadLetter.model_validate_json(value)]
    if "examples" in topic:
        Example.model_validate_json(value)
    elif "closings" in topic:
        Closing.model_validate_json(value)
    elif key is not None and key != b"p":
        decode_key(key[1:].decode(), value)
    return []


def order(fuzz: Fuzz, n: int) -> bytes:
    choose = fuzz.chance.choice
    floats = [value for value in VALUES if isinstance(value, float)]
    times = [value for value in VALUES if type(value) is int and -(2**63) <= value < 2**63]
    fields: dict[str, Any] = {
        "order": choose([float(n), None, choose(floats)]),
        "paid": choose([1.0, None, choose(floats)]),
        "at": choose([NOW_MS + n, choose(times)]),
    }
    return encode_confluent(SCHEMA, 1, fields)


@pytest.mark.parametrize(("seed", "count"), [*FEW, *MANY])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_record_that_labels_are_taken_from_is_counted(seed: int, count: int) -> None:
    fuzz = Fuzz(seed)
    source = SourceSpec(
        name="orders", topic="orders", reader_schema=SCHEMA, writer_schemas={1: SCHEMA},
        timestamp_field="at", tile_ms=1000, late_tiles=1, max_future_ms=60_000, shards=0,
    )  # fmt: skip
    reader = OutcomeReader(source, OutcomeSpec(source="orders", key_field="order", label_field="paid"), 0)
    refused = 0
    for records in fuzz.ranges(count, lambda n: fuzz.bytes_of(order(fuzz, n))):
        reader.read(records)
        letters = reader.take_dead_letters()
        refused += len(letters)
        for letter in letters:
            assert DeadLetter.model_validate_json(letter.to_bytes()) == letter
    counts = reader.counts
    assert counts.malformed + counts.future == refused
    assert counts.outcomes + counts.unlabelled + counts.marks + refused == count
    assert min(counts.outcomes, refused) > count / 20
