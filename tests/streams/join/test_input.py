"""Records of the join's inputs: taken, or refused without a trace in its clocks."""

from __future__ import annotations

import pytest

from headrace.schemas.marks import mark_headers
from headrace.schemas.router_specs import OutcomeSpec
from headrace.streams.join.input import feed_record
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.state import INPUTS, Input
from headrace.streams.log.records import LogRecord
from tests.support.join_builders import a_router

EVENTS = OutcomeSpec(source="arrivals", key_field="flight", label_field="delay")


@pytest.mark.parametrize("source", INPUTS)
def test_a_mark_of_partitions_of_nothing_does_not_hold_the_clock_for_good(source: Input) -> None:
    join = PartitionJoin(a_router(100))
    of_one = LogRecord(0, 1_000, None, None, mark_headers(900, 0, 4096))
    letter = feed_record(join, source, "t", 0, of_one, 1_000, 60_000)
    assert letter is not None
    assert letter.kind == "malformed"
    of_all = LogRecord(1, 1_000, None, None, mark_headers(950))
    assert feed_record(join, source, "t", 0, of_all, 1_000, 60_000) is None
    assert join.clocks[source] == 950
    assert (join.counts.malformed, join.next_offsets[source]) == (1, 2)


def test_outcomes_of_an_event_topic_have_marks_of_its_partitions() -> None:
    join = PartitionJoin(a_router(100, outcome=EVENTS))
    for offset, partition in enumerate((0, 1)):
        mark = LogRecord(offset, 1_000, None, None, mark_headers(900 + partition, partition, 2))
        assert feed_record(join, "outcomes", "t", 0, mark, 1_000, 60_000) is None
    assert join.clocks["outcomes"] == 900
