"""Filters and derived columns against the naive oracle, on random logs, batchings and crashes."""

from __future__ import annotations

from itertools import cycle

from hypothesis import given
from hypothesis import strategies as st

from tests.support.expected_rows import assert_rows_equal, expected_rows, record_of, rules_of
from tests.support.properties import tries
from tests.support.purchase_udfs import ROWS, transforms, udf_plan
from tests.support.random_logs import logs, split_users
from tests.support.random_steps import drive
from tests.support.stream_driver import StreamDriver
from tests.support.window_oracle import judge

PLAN = udf_plan()
TRANSFORMS = transforms(PLAN)


@tries(40)
@given(partitions=st.lists(logs(), min_size=1, max_size=3), data=st.data())
def test_every_value_behind_a_udf_equals_the_oracle_however_batched_and_wherever_it_crashes(partitions, data):
    """A record that a udf raises on is dead, once, and in no view; what is filtered out is applied."""
    split_users(partitions)
    judged = [judge(log, rules_of(PLAN, ROWS)) for log in partitions]
    records = [[record_of(e) for e in log] for log in partitions]
    driver = StreamDriver(PLAN, PLAN.sources[0], records, TRANSFORMS)
    drive(data, driver, driver.readers)
    driver.drain(data.draw(st.sampled_from([1, 4, 100])))
    assert_rows_equal(driver.online, expected_rows(PLAN, judged, ROWS))
    for reader, log, one in zip(driver.partitions, partitions, judged, strict=True):
        counts = reader.state.record_counts
        assert counts == one.counts
        assert sum(counts.values()) == len(log)
    assert len(driver.rejected) == sum(one.counts["late"] + one.counts["dead"] for one in judged)


@tries(20)
@given(log=logs(), cuts=st.lists(st.integers(1, 9), min_size=1, max_size=25))
def test_what_is_refused_and_why_does_not_depend_on_the_ranges(log, cuts):
    dead_letters = []
    for most in ([100], [1], cuts):
        driver = StreamDriver(PLAN, PLAN.sources[0], [[record_of(e) for e in log]], TRANSFORMS)
        sizes = cycle(most)
        while driver.step(driver.partitions[0], next(sizes)):
            pass
        dead_letters.append(driver.rejected)
    assert dead_letters[0] == dead_letters[1] == dead_letters[2]
