"""Offsets that no consumer sees, and records that cannot be read, wherever in a range they are."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.avro import AvroDecoder
from tests.support.expected_rows import assert_rows_equal, expected_rows, record_of, rules_of
from tests.support.properties import tries
from tests.support.purchases import purchases_plan
from tests.support.random_logs import logs, split_users
from tests.support.random_steps import drive
from tests.support.stream_driver import StreamDriver
from tests.support.window_oracle import OracleEvent, judge

SIZE = 7


def events(count: int) -> list[OracleEvent]:
    fields = {"shop": "a", "amount": 1.5, "items": 2}
    return [
        OracleEvent(n, 1000 + n, {**fields, "user": n % 3, "event_ms": 1000 + 5 * n}) for n in range(count)
    ]


def check(log: list[OracleEvent], size: int) -> StreamDriver:
    plan = purchases_plan()
    driver = StreamDriver(plan, plan.sources[0], [[record_of(event) for event in log]])
    driver.drain(size)
    judged = judge(log, rules_of(plan))
    assert_rows_equal(driver.online, expected_rows(plan, [judged]))
    assert driver.partitions[0].state.record_counts == judged.counts
    return driver


@pytest.mark.parametrize("size", [SIZE, 1])
@pytest.mark.parametrize("bad", [{n} for n in range(SIZE)] + [{0, 1}, {5, 6}, set(range(SIZE))], ids=str)
def test_a_poison_record_is_a_dead_letter_and_harms_no_neighbour(bad: set[int], size: int) -> None:
    log = [OracleEvent(e.offset, e.appended_ms, broken=True) if e.offset in bad else e for e in events(SIZE)]
    driver = check(log, size)
    assert {offset for _, offset in driver.rejected} == bad


@pytest.mark.parametrize("bad", range(SIZE))
def test_a_record_the_decoder_fails_on_is_found_by_bisection(
    bad: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not malformed to its eyes, but more than it can bear: whatever is thrown concerns that record alone."""
    decode, log = AvroDecoder.decode, events(SIZE)
    poison = record_of(log[bad]).value

    def fails_on_poison(self: AvroDecoder, payloads: list[bytes | None]) -> Any:
        if poison in payloads:
            raise RuntimeError("a fault nobody thought of")
        return decode(self, payloads)

    monkeypatch.setattr(AvroDecoder, "decode", fails_on_poison)
    log[bad] = dataclasses.replace(log[bad], broken=True)
    plan = purchases_plan()
    records = [[record_of(event) for event in log]]
    records[0][bad] = dataclasses.replace(records[0][bad], value=poison)
    driver = StreamDriver(plan, plan.sources[0], records)
    driver.drain(SIZE)
    assert_rows_equal(driver.online, expected_rows(plan, [judge(log, rules_of(plan))]))
    (dead_letter,) = driver.rejected.values()
    assert dead_letter.offset == bad
    assert "a fault nobody thought of" in dead_letter.reason


@tries(50)
@given(partitions=st.lists(logs(), min_size=1, max_size=3), data=st.data())
def test_offsets_that_are_missing_are_neither_waited_for_nor_counted(partitions, data):
    """Transaction markers, aborted records, compaction: only what is read counts, crashes or none."""
    split_users(partitions)
    gapped = []
    for log in partitions:
        at, kept = 0, []
        for event in log:
            at += data.draw(st.sampled_from([1, 1, 2, 50]))
            kept.append(dataclasses.replace(event, offset=at))
        gapped.append(kept)
    plan = purchases_plan()
    driver = StreamDriver(plan, plan.sources[0], [[record_of(e) for e in log] for log in gapped])
    drive(data, driver, driver.readers, ["read", "read", "checkpoint", "crash"], steps=8)
    driver.drain(data.draw(st.sampled_from([1, 100])))
    judged = [judge(log, rules_of(plan)) for log in gapped]
    assert_rows_equal(driver.online, expected_rows(plan, judged))
    for reader, one in zip(driver.partitions, judged, strict=True):
        assert reader.state.record_counts == one.counts
