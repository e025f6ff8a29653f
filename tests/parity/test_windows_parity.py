"""The stream engine against the naive oracle, on random logs, batchings and crashes."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.avro import encode_confluent
from schemas.marks import mark_headers
from schemas.plan import Plan
from streams.log_records import LogRecord
from tests.parity.window_oracle import (
    Judged,
    OracleEvent,
    OracleFeature,
    OracleRules,
    RowUdf,
    features_at,
    judge,
    rows_of,
)
from tests.streams.driver import StreamDriver
from tests.streams.plans import EVENT_SCHEMA, purchases_plan
from tests.streams.random_steps import drive

NO_UDFS: Mapping[str, RowUdf] = MappingProxyType({})

amounts = st.one_of(
    st.none(),
    st.floats(-1e6, 1e6),
    st.sampled_from([0.0, -0.0, 0.005, 0.015, 1e9, -1e9, 1.4e12, -1.4e12, float("nan")]),
)
kept = st.sampled_from([(), (), ("by_user",), ("by_shop", "by_both")])  # views with lifetime windows
events = st.fixed_dictionaries(
    {
        "user": st.one_of(st.integers(-2, 2), st.just(2**62)),
        "shop": st.sampled_from(["a", "b", "", "größer"]),
        "amount": amounts,
        "items": st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1), st.integers(-3, 3)),
    }
)


@st.composite
def logs(draw: st.DrawFn) -> list[OracleEvent]:
    """One partition: time runs on with jitter; late and future records, marks, broken records."""
    log: list[OracleEvent] = []
    now = draw(st.integers(-200, 200))
    for offset in range(draw(st.integers(0, 25))):
        now += draw(st.sampled_from([0, 0, 1, 3, 10, 25, 300]))
        kind = draw(st.sampled_from(["event"] * 8 + ["mark", "broken", "null key", "null time"]))
        appended = now + draw(st.sampled_from([0, 5, -900]))
        if kind == "mark":
            log.append(OracleEvent(offset, appended, mark_ms=now + draw(st.sampled_from([0, 40, 5000]))))
            continue
        if kind == "broken":
            log.append(OracleEvent(offset, appended, broken=True))
            continue
        fields = dict(draw(events))
        fields["event_ms"] = now + draw(st.sampled_from([0, 0, 0, -7, -25, -60, -1000, 200, 1500, 10**12]))
        if kind == "null key":
            fields[draw(st.sampled_from(["user", "shop"]))] = None
        if kind == "null time":
            fields["event_ms"] = None
        log.append(OracleEvent(offset, appended, fields))
    return log


def record_of(event: OracleEvent) -> LogRecord:
    if event.mark_ms is not None:
        return LogRecord(event.offset, event.appended_ms, None, None, mark_headers(event.mark_ms))
    if event.broken:
        return LogRecord(event.offset, event.appended_ms, b"k", b"\x00\x00\x00\x00\x07\xff")
    value = encode_confluent(EVENT_SCHEMA, 7, {**event.fields, "note": "n"})
    return LogRecord(event.offset, event.appended_ms, b"k", value)


def oracle_features(plan: Plan, view: str) -> list[OracleFeature]:
    return [
        OracleFeature(
            a.feature,
            a.function,
            a.column,
            a.window_ms,
            a.hop_ms,
            round(1 / a.quantum),
            a.dtype,
            a.precision,
        )
        for a in plan.stream_view(view).aggregations
    ]


def expected_rows(
    plan: Plan, judged: list[Judged], udfs: Mapping[str, RowUdf] = NO_UDFS
) -> dict[tuple[str, tuple], dict[str, Any]]:
    """What every online row must be: views by the topic's key per partition, the others over all."""
    rows: dict[tuple[str, tuple], dict[str, Any]] = {}
    for one in judged:
        if one.clock_ms is not None:
            accepted = [(t, (offset,), fields) for t, offset, fields in one.accepted]
            accepted = rows_of(accepted, udfs.get("by_user"))
            found = features_at(accepted, one.clock_ms, ("user",), oracle_features(plan, "by_user"))
            rows.update({("by_user", key): values for key, values in found.items()})
    everything = [
        (t, (offset, p), fields) for p, one in enumerate(judged) for t, offset, fields in one.accepted
    ]
    clocks = [one.clock_ms for one in judged if one.clock_ms is not None]
    for view, keys in (("by_shop", ("shop",)), ("by_both", ("shop", "user"))):
        if clocks:
            accepted = rows_of(everything, udfs.get(view))
            found = features_at(accepted, max(clocks), keys, oracle_features(plan, view))
            rows.update({(view, key): values for key, values in found.items()})
    return rows


def is_empty(values: dict[str, Any]) -> bool:
    return all(value is None or (value == 0 and name.startswith("count")) for name, value in values.items())


def assert_rows_equal(online: dict, expected: dict) -> None:
    """Equal to the last bit; a key with nothing left in any window may be absent."""
    for key in online.keys() | expected.keys():
        got, want = online.get(key), expected.get(key)
        if got is None:
            assert is_empty(want), f"{key}: no row, expected {want}"
            continue
        assert want is not None, f"{key}: unexpected row {got}"
        for name, value in want.items():
            assert same(got[name], value), f"{key} {name}: {got[name]} != {value}"


def same(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if one is None or other is None or isinstance(one, str):
        return one == other
    return one == other and math.copysign(1, one) == math.copysign(1, other)


def rules_of(plan: Plan, udfs: Mapping[str, RowUdf] = NO_UDFS) -> OracleRules:
    source = plan.sources[0]
    keys, every = ("user", "shop"), tuple(udfs.values())
    return OracleRules("event_ms", source.tile_ms, source.late_tiles, source.max_future_ms, keys, every)


def split_users(partitions: list[list[OracleEvent]]) -> None:
    """A key lives in one partition only, as its producer's partitioner has it."""
    for number, log in enumerate(partitions):
        for event in log:
            if event.fields and event.fields["user"] is not None:
                event.fields["user"] = event.fields["user"] // len(partitions) * len(partitions) + number


thorough = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@thorough
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
        counts = vars(reader.state.counts)
        assert counts == one.counts
        assert sum(counts.values()) == len(log)
    assert len(driver.rejected) == sum(one.counts["late"] + one.counts["dead"] for one in judged)


@thorough
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


@thorough
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
        assert vars(reader.state.counts) == one.counts


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
