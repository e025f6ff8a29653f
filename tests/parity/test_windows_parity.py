"""The stream engine against the naive oracle, on random logs, batchings and crashes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.marks import mark_headers
from headrace.streams.log.records import LogRecord
from tests.support.expected_rows import assert_rows_equal, expected_rows, record_of, rules_of
from tests.support.purchases import purchases_plan
from tests.support.random_logs import kept, logs, split_users
from tests.support.random_steps import drive
from tests.support.stream_driver import StreamDriver
from tests.support.window_oracle import OracleEvent, judge


@given(partitions=st.lists(logs(), min_size=1, max_size=3), data=st.data())
def test_every_online_value_equals_the_oracle_however_batched_and_wherever_it_crashes(partitions, data):
    split_users(partitions)
    plan = purchases_plan(ever=data.draw(kept))
    judged = [judge(log, rules_of(plan)) for log in partitions]
    driver = StreamDriver(plan, plan.sources[0], [[record_of(e) for e in log] for log in partitions])
    drive(data, driver, driver.readers)
    driver.drain(data.draw(st.sampled_from([1, 4, 100])))
    assert_rows_equal(driver.online, expected_rows(plan, judged))
    for reader, log, one in zip(driver.partitions, partitions, judged, strict=True):
        counts = reader.state.record_counts
        assert counts == one.counts
        assert sum(counts.values()) == len(log)
    assert len(driver.rejected) == sum(one.counts["late"] + one.counts["dead"] for one in judged)


@given(log=logs(), cut=st.integers(0, 25))
def test_quiet_keys_are_emptied_as_the_clock_moves(log, cut):
    """After every prefix, not only at the end, the store shows what the oracle says of that prefix."""
    plan = purchases_plan(shards=1)
    prefix = log[:cut]
    driver = StreamDriver(plan, plan.sources[0], [[record_of(e) for e in prefix]])
    driver.drain(1)
    assert_rows_equal(driver.online, expected_rows(plan, [judge(prefix, rules_of(plan))]))


@pytest.mark.parametrize("most", [20, 1000])
def test_many_keys_of_one_range_are_emptied_as_the_clock_moves(most: int) -> None:
    """As many as are held tile by tile in columns, and fewer."""
    plan, rng, log, now = purchases_plan(shards=1), random.Random(7), [], 1000
    for _ in range(4):
        for user in rng.sample(range(400), 200):
            fields = {
                "user": user,
                "shop": "a",
                "event_ms": now - rng.randrange(60),
                "amount": 1.5,
                "items": 2,
            }
            log.append(OracleEvent(len(log), now, fields))
        now += rng.choice([30, 100, 250])
        log.append(OracleEvent(len(log), now, mark_ms=now))
        driver = StreamDriver(plan, plan.sources[0], [[record_of(event) for event in log]])
        driver.drain(most)
        assert_rows_equal(driver.online, expected_rows(plan, [judge(log, rules_of(plan))]))


@given(partitions=st.lists(logs(), min_size=1, max_size=3), data=st.data())
def test_windows_empty_by_the_wall_clock_where_nothing_arrives(partitions, data):
    """Whenever time passes, and wherever it crashes: in the end the windows are those of that moment, and
    what is late is what was late."""
    partitions = [[e for e in log if e.mark_ms is None] for log in partitions]
    split_users(partitions)
    plan = purchases_plan()
    driver = StreamDriver(plan, plan.sources[0], [[record_of(e) for e in log] for log in partitions])
    drive(data, driver, driver.partitions, ["read", "read", "pass time", "checkpoint", "crash"])
    driver.drain(data.draw(st.sampled_from([1, 100])))
    for reader in driver.partitions:
        driver.pass_time(reader, 4000)
    driver.drain()
    judged = [judge(log, rules_of(plan)) for log in partitions]
    tile_ms = plan.sources[0].tile_ms
    for one in judged:
        if one.clock_ms is not None:
            one.clock_ms = max(one.clock_ms, (one.clock_ms + 4000) // tile_ms * tile_ms)
    assert_rows_equal(driver.online, expected_rows(plan, judged))
    for reader, one in zip(driver.partitions, judged, strict=True):
        assert reader.state.record_counts == one.counts


def test_where_producers_send_time_marks_the_wall_clock_is_not_asked():
    plan = purchases_plan(shards=1)
    record = LogRecord(0, 0, None, None, mark_headers(100))
    driver = StreamDriver(plan, plan.sources[0], [[record]])
    driver.drain()
    assert driver.partitions[0].state.pass_time(10**9) is None


def test_a_key_of_a_changelog_without_position_is_not_forgotten():
    """Its row is out, and when it is read again the clock may be past all its windows at once."""
    fields = {"user": 1, "shop": "a", "amount": 1.0, "items": 1, "event_ms": 0}
    log = [OracleEvent(0, 0, fields), OracleEvent(1, 300, {**fields, "user": 2, "event_ms": 300})]
    plan = purchases_plan()
    driver = StreamDriver(plan, plan.sources[0], [[record_of(event) for event in log]])
    (reader,) = driver.partitions
    driver.step(reader, 1)
    reader.checkpoint(written=1)
    reader.crash()
    driver.drain()
    assert_rows_equal(driver.online, expected_rows(plan, [judge(log, rules_of(plan))]))
