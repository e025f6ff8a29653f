"""One key, however much comes for it: its state stays a record of the changelog, and the join goes on."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.marks import Mark
from headrace.streams.join.changelog import POSITION_KEY, encode_key, encode_position, read_changelog
from headrace.streams.join.config import JoinConfig
from headrace.streams.join.input import MOST_BYTES
from headrace.streams.join.key_quota import MOST_OUTCOME_BYTES, MOST_PREDICTION_BYTES
from headrace.streams.join.owned_partition import OwnedPartition
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.state import INPUTS
from headrace.streams.join.wire_format import LoggedPrediction
from headrace.streams.log.records import LogRecord, LogRecords
from tests.support.join_builders import a_prediction, a_router, an_outcome, move_order

WAIT = 100
MANY = JoinConfig(per_key=1_000_000)
RECORD_BYTES = 8 << 20  # of a changelog


def a_join(config: JoinConfig) -> PartitionJoin:
    return PartitionJoin(a_router(WAIT), config=config)


def size_of(join: PartitionJoin, key: str) -> int:
    state = join.take_touched()[key]
    assert state is not None
    return len(encode_key(state))


def restored(join: PartitionJoin, key: str, config: JoinConfig) -> PartitionJoin:
    state = join.take_touched()[key]
    assert state is not None
    entries = [(f"k{key}".encode(), encode_key(state)), (POSITION_KEY, encode_position(join.position()))]
    return PartitionJoin(a_router(WAIT), read_changelog(entries), config)


@pytest.mark.parametrize("name", ["o{}", "\U0001f600" * 9_000 + "{}"])
def test_outcomes_of_one_key_stay_within_their_bytes(name: str) -> None:
    join = a_join(MANY)
    count = MOST_OUTCOME_BYTES // 100 if name == "o{}" else 40
    for n in range(count):
        join.outcome(an_outcome(name.format(n), "k", 0), n)
    assert join.counts.over_quota > 0
    assert join.counts.outcomes == count == join.counts.parked + join.counts.over_quota
    assert MOST_OUTCOME_BYTES / 4 < size_of(join, "k") <= MOST_OUTCOME_BYTES


def test_predictions_of_one_key_stay_a_record_after_a_restart_too() -> None:
    """What is read as 1e15 is written so, and not as 1000000000000000.0."""
    join = a_join(MANY)
    numbers = ",".join(f'"{n:x}":1e15' for n in range(60_000))
    for n in range(8):
        raw = json.loads(a_prediction(f"p{n}", "k", 0).to_bytes())
        raw["features"] = {}
        value = json.dumps(raw).replace('"features": {}', f'"features": {{{numbers}}}').encode()
        assert len(value) < MOST_BYTES
        join.predict(LoggedPrediction.read(value), n)
    assert join.counts.prediction_over_quota > 0
    assert join.counts.predictions + join.counts.prediction_over_quota == 8
    join.outcome(an_outcome("o", "k", 0), 0)
    again = restored(join, "k", MANY)
    again.outcome(an_outcome("q", "k", 0), 1)
    assert MOST_PREDICTION_BYTES * 3 / 4 < size_of(again, "k") < RECORD_BYTES - MOST_OUTCOME_BYTES


def test_a_restored_key_has_as_much_room_as_before() -> None:
    config = JoinConfig(per_key=3)
    join = a_join(config)
    for n in range(2):
        join.predict(a_prediction(f"p{n}", "k", n), n)
        join.outcome(an_outcome(f"o{n}", "k", n), n)
    again = restored(join, "k", config)
    for n in range(2, 5):
        again.predict(a_prediction(f"p{n}", "k", n), n)
        again.outcome(an_outcome(f"o{n}", "k", n), n)
    assert (again.counts.predictions, again.counts.prediction_over_quota) == (3, 2)
    assert (again.counts.outcomes, again.counts.over_quota) == (5, 2)


def test_a_key_has_room_again_once_its_records_are_forgotten() -> None:
    join = a_join(JoinConfig(per_key=1))
    for ts_ms, offset in ((0, 0), (1, 1), (2 * WAIT, 3)):
        join.predict(a_prediction(f"p{ts_ms}", "k", ts_ms), offset)
        join.outcome(an_outcome(f"o{ts_ms}", "k", ts_ms), offset)
        if offset == 1:
            for source in INPUTS:
                join.mark(source, Mark(2 * WAIT), 2)
    assert (join.counts.predictions, join.counts.prediction_over_quota) == (2, 1)
    assert (join.counts.applied, join.counts.over_quota) == (2, 1)


def test_what_is_turned_away_is_a_dead_letter_and_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """Outcomes of keys that were never predicted are ordinary in a topic of all orders: no letters."""
    config = JoinConfig(per_key=2)
    router = a_router(WAIT, outcome={"source": "orders", "key_field": "k", "label_field": "l"})
    join = PartitionJoin(router, config=config)
    one = OwnedPartition("p", "h", router, 0, join, {}, lambda *_: 0, config=config)
    predictions = [a_prediction(f"p{n}", "k", 1_000).to_bytes() for n in range(4)]
    outcomes = [an_outcome(f"o{n}", key, 1_000).to_bytes() for key in ("k", "never") for n in range(4)]
    for source, values in (("predictions", predictions), ("outcomes", outcomes)):
        records = [LogRecord(n, 5_000, None, value) for n, value in enumerate(values)]
        one.feed("predictions" if source == "predictions" else "outcomes", _message(records))
    move_order(one)
    batch = one.take_batch()
    assert batch is not None
    found = [
        DeadLetter.model_validate_json(v) for r in batch.records for _, v in r.entries if _is_letter(r, v)
    ]
    assert [(letter.kind, letter.topic.split(".")[2], letter.offset) for letter in found] == [
        ("over_quota", "predictions", 2),
        ("over_quota", "predictions", 3),
        ("over_quota", "outcomes", 2),
        ("over_quota", "outcomes", 3),
    ]
    assert "`join_per_key`" in found[0].reason
    assert (join.counts.prediction_over_quota, join.counts.over_quota) == (2, 4)
    assert caplog.text.count("the join holds its quota of one key") == 1


def _message(records: list[LogRecord]) -> SimpleNamespace:
    return SimpleNamespace(value=LogRecords.of(records))


def _is_letter(records: object, value: bytes | None) -> bool:
    return value is not None and str(getattr(records, "topic", "")).endswith("dead-letters")
