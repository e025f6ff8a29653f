"""Inputs of the join where nothing comes: predictions close all the same, and a replay closes them so too."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from headrace.schemas.marks import read_mark
from headrace.streams.join.config import JoinConfig
from headrace.streams.join.owned_partition import OwnedPartition
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.silence import Silence
from headrace.streams.log.records import LogRecord, LogRecords
from tests.support.join_builders import a_prediction, a_router, an_outcome, move_order

WAIT = 60_000
ROUTER = a_router(WAIT, missing="negative")


def owned(**config: Any) -> OwnedPartition:
    made = JoinConfig(**config)
    join = PartitionJoin(ROUTER, config=made)
    return OwnedPartition("p", "h", ROUTER, 0, join, {}, lambda *_: 0, config=made)


def predict(partition: OwnedPartition, count: int) -> None:
    values = [a_prediction(f"p{n}", f"k{n}", 1_000 + n).to_bytes() for n in range(count)]
    records = [LogRecord(n, 5_000, None, value) for n, value in enumerate(values)]
    partition.feed("predictions", SimpleNamespace(value=LogRecords.of(records)))
    move_order(partition)


def test_predictions_close_where_no_outcome_ever_comes() -> None:
    one = owned()
    predict(one, 20)
    one.silence = Silence(one.join, 10_000, WAIT, now_s=0.0)
    assert one.silence.marks(9.9) == {}
    replayed = owned()
    predict(replayed, 20)
    for now_s in (10.0, 30.0, 61.0):
        one.tell_time(one.silence.marks(now_s))
        batch = one.take_batch()
        assert batch is not None
        for source in ("predictions", "outcomes"):
            found = [r for r in batch.records if r.topic == one.topic(source) and r.entries == [(None, None)]]
            for marks in found:
                assert read_mark(marks.headers) is not None
                for partition in (one, replayed):
                    offset = partition.inputs.next_offset(source)
                    mark = LogRecord(offset, 2_000_000, None, None, list(marks.headers))
                    partition.feed(source, SimpleNamespace(value=LogRecords.of([mark])))
        move_order(one)
        move_order(replayed)
        one.silence = Silence(one.join, 0, WAIT, now_s)  # nobody but the marks speaks
    assert (one.join.counts.negative, one.join.counts.pending) == (20, 0)
    assert replayed.join.counts == one.join.counts


def test_while_nothing_waits_no_mark_is_written() -> None:
    one = owned()
    assert Silence(one.join, 10, WAIT, now_s=0.0).marks(1e6) == {}


def test_outcomes_of_nothing_are_held_up_to_a_quota() -> None:
    one = owned(parked=3)
    predict(one, 1)
    values = [an_outcome(f"o{n}", f"x{n}", 1_000).to_bytes() for n in range(10)]
    values.append(an_outcome("o", "k0", 1_000).to_bytes())
    first = one.inputs.next_offset("outcomes")
    records = [LogRecord(first + n, 5_000, None, value) for n, value in enumerate(values)]
    one.feed("outcomes", SimpleNamespace(value=LogRecords.of(records)))
    move_order(one)
    counts = one.join.counts
    assert (counts.parked, counts.over_quota, counts.applied, counts.outcomes) == (3, 7, 1, 11)
