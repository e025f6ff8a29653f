"""Sums that would overflow or lose their quantum: null, counted and told of, never a wrong number."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.plan import Plan
from headrace.streams.aggregations import AGGREGATIONS
from tests.support.expected_rows import assert_rows_equal, expected_rows, oracle_features, record_of
from tests.support.overflowing_sums import LARGEST, is_unfit, judged_by_oracle, plan_of_sums, unfit_of
from tests.support.properties import tries
from tests.support.random_logs import split_users
from tests.support.random_steps import drive
from tests.support.stream_driver import StreamDriver
from tests.support.window_oracle import OracleEvent, features_at

amounts = st.sampled_from([LARGEST, LARGEST, -LARGEST, 0.01, -0.01, 2.0**46 / 100, 1.0, None])
items = st.sampled_from([2**31 - 1, -(2**31), 2**30, -(2**30), 1, -1, 0, None])
refused = st.sampled_from([2.0**47 / 100, -(2.0**47) / 100, 1e300, float("inf"), float("-inf")])


@st.composite
def logs(draw: st.DrawFn) -> list[OracleEvent]:
    """Bursts of one value, 64 of the greatest of which add up to 2^53 quanta; and values that are refused."""
    log: list[OracleEvent] = []
    now = draw(st.integers(0, 50))
    for _ in range(draw(st.integers(0, 6))):
        now += draw(st.sampled_from([0, 1, 9, 10, 31, 70]))
        fields = {
            "user": draw(st.integers(0, 1)), "shop": draw(st.sampled_from(["a", "b"])), "event_ms": now,
            "amount": draw(amounts), "items": draw(items),
        }  # fmt: skip
        for _ in range(draw(st.sampled_from([1, 1, 2, 32, 64, 65]))):
            log.append(OracleEvent(len(log), now, dict(fields)))
        if draw(st.booleans()):
            log.append(OracleEvent(len(log), now, {**fields, "amount": draw(refused)}))
    return log


@tries(25)
@given(partitions=st.lists(logs(), min_size=1, max_size=3), data=st.data())
def test_a_sum_that_does_not_fit_is_null_counted_and_told_of_however_batched_and_crashed(partitions, data):
    split_users(partitions)
    plan = plan_of_sums()
    driver = StreamDriver(plan, plan.sources[0], [[record_of(e) for e in log] for log in partitions])
    drive(data, driver, driver.readers, steps=10, records=90)
    driver.drain(data.draw(st.sampled_from([1, 7, 1000])))
    judged = [judged_by_oracle(plan, log) for log in partitions]
    expected = expected_rows(plan, judged)
    assert_rows_equal(driver.online, expected)
    unfit = unfit_of(expected)
    assert sum(reader.state.overflowing_sums for reader in driver.readers) == len(unfit), "the count"
    assert {(dead_letter.feature, dead_letter.entity) for dead_letter in driver.unfit} >= unfit, (
        "a dead letter of each"
    )
    for reader, log, one in zip(driver.partitions, partitions, judged, strict=True):
        assert reader.state.record_counts == one.counts
        assert sum(one.counts.values()) == len(log)
    assert_dead_letters_are_true(plan, partitions, driver.unfit)


def assert_dead_letters_are_true(
    plan: Plan, partitions: list[list[OracleEvent]], dead_letters: list[Any]
) -> None:
    """A dead letter of a source partition: the sum did not fit when the log was applied up to there."""
    topic = plan.sources[0].topic
    for dead_letter in {one.id: one for one in dead_letters if one.topic == topic}.values():
        view, _, feature = dead_letter.feature.partition(":")
        found = judged_by_oracle(plan, partitions[dead_letter.partition][: dead_letter.offset + 1])
        accepted = [(t, (offset,), fields) for t, offset, fields in found.accepted]
        rows = features_at(accepted, found.clock_ms, ("user",), oracle_features(plan, view))
        assert is_unfit(feature, rows[dead_letter.entity]), dead_letter
        assert dead_letter.timestamp_ms == found.clock_ms
        spec = next(a for a in plan.stream_view(view).aggregations if a.feature == feature)
        want = (found.clock_ms // spec.hop_ms + 1) * spec.hop_ms if spec.hop_ms else None
        assert dead_letter.window_end_ms == want


def burst(user: int, count: int, start: int, event_ms: int, amount: float = LARGEST) -> list[OracleEvent]:
    fields = {"user": user, "shop": "a", "amount": amount, "items": 0, "event_ms": event_ms}
    return [OracleEvent(start + n, event_ms, dict(fields)) for n in range(count)]


def test_a_sum_that_stays_too_large_is_told_of_once_and_again_when_it_was_right_in_between():
    """At most once in a hop: no stream of records makes a flood of dead letters."""
    plan = plan_of_sums(shards=1)
    log = burst(0, 70, 0, 5)
    log += (
        burst(0, 10, 70, 5, -LARGEST) + burst(0, 10, 80, 5) + burst(0, 10, 90, 5, -LARGEST)
    )  # 2^53, to and fro
    log += burst(0, 10, 100, 6) + burst(0, 1, 110, 17)
    driver = StreamDriver(plan, plan.sources[0], [[record_of(e) for e in log]])
    driver.drain(1)
    ends = {
        window: [
            one.window_end_ms for one in driver.unfit if one.feature == f"by_user:sum_amount_Float64_{window}"
        ]
        for window in ("60_10", "30_30", "0_0")
    }
    assert ends == {"60_10": [10], "30_30": [30], "0_0": [None]}
    assert all(not one.value and not one.key and "declare a larger" in one.reason for one in driver.unfit)
    assert len({one.id for one in driver.unfit}) == len(driver.unfit)


def test_every_aggregation_that_sums_is_tried_here_or_cannot_fail():
    assert {name for name, kind in AGGREGATIONS.items() if kind.summed} == {
        "sum", "mean", "var", "std", "var_pop", "std_pop",
    }  # fmt: skip
