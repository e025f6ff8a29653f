"""Records of the join's inputs: taken, or refused without a trace in its clocks."""

from __future__ import annotations

import pytest

from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.marks import mark_headers
from headrace.schemas.order_marks import order_headers
from headrace.schemas.router_specs import OutcomeSpec
from headrace.schemas.topics import RouterTopics
from headrace.streams.join.input import PartitionInputs
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.state import INPUTS, Counts, Input
from headrace.streams.log.records import LogRecord
from tests.support.join_builders import a_router

EVENTS = OutcomeSpec(source="arrivals", key_field="flight", label_field="delay")


def inputs_of(join: PartitionJoin) -> PartitionInputs:
    return PartitionInputs(join, RouterTopics("shop", "delays"), 0, 60_000)


def process(inputs: PartitionInputs, source: Input, record: LogRecord) -> list[DeadLetter]:
    """Read a record, with nothing in the other input."""
    inputs.merge.end("outcomes" if source == "predictions" else "predictions")
    inputs.read(source, record, 1_000)
    return inputs.process()


@pytest.mark.parametrize("source", INPUTS)
def test_a_mark_of_partitions_of_nothing_does_not_hold_the_clock_for_good(source: Input) -> None:
    inputs = inputs_of(join := PartitionJoin(a_router(100)))
    of_one = LogRecord(0, 1_000, None, None, mark_headers(900, 0, 4096))
    assert [letter.kind for letter in process(inputs, source, of_one)] == ["malformed"]
    of_all = LogRecord(1, 1_000, None, None, mark_headers(950))
    assert process(inputs, source, of_all) == []
    assert join.clocks[source] == 950
    assert (join.counts.malformed, join.next_offsets[source]) == (1, 2)


def test_outcomes_of_an_event_topic_have_marks_of_its_partitions() -> None:
    inputs = inputs_of(join := PartitionJoin(a_router(100, outcome=EVENTS)))
    for offset, partition in enumerate((0, 1)):
        mark = LogRecord(offset, 1_000, None, None, mark_headers(900 + partition, partition, 2))
        assert process(inputs, "outcomes", mark) == []
    assert join.clocks["outcomes"] == 900


@pytest.mark.parametrize("source", INPUTS)
def test_an_order_mark_moves_no_clock_of_event_time(source: Input) -> None:
    inputs = inputs_of(join := PartitionJoin(a_router(100)))
    assert process(inputs, source, LogRecord(0, 1_000, None, None, order_headers(950))) == []
    assert (join.clocks[source], join.next_offsets[source], join.counts) == (None, 1, Counts())


@pytest.mark.parametrize("headers", [order_headers(10**14), [("headrace.order_ms", b"soon")]])
def test_an_order_mark_of_an_absurd_time_is_a_dead_letter(headers: list[tuple[str, bytes]]) -> None:
    inputs = inputs_of(join := PartitionJoin(a_router(100)))
    assert len(process(inputs, "outcomes", LogRecord(0, 1_000, None, None, headers))) == 1
    assert (join.counts.malformed, join.next_offsets["outcomes"]) == (1, 1)
