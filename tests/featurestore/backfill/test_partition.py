"""Backfill and the live worker together: every value as the oracle has it, without gap or overlap."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.backfill.partition import PartitionBackfill
from headrace.featurestore.backfill.past_events import appended_before
from headrace.featurestore.backfill.span import Span
from headrace.featurestore.offline.feature_log import ParquetFeatureLog
from headrace.schemas.errors import StateError
from headrace.schemas.plan import Plan
from headrace.streams.log.records import LogRecords
from headrace.streams.runtime.registry_lookup import RegistryLookup
from headrace.streams.state.source_partition import SourcePartition
from headrace.testing import SchemaRegistryStandIn
from tests.support.backfill_logs import direct_plan, logged, past, purchase
from tests.support.expected_rows import is_empty, oracle_features, rules_of
from tests.support.properties import tries
from tests.support.purchases import EVENT_SCHEMA
from tests.support.random_logs import kept, logs
from tests.support.window_oracle import OracleEvent, features_at, judge


@tries(35)
@given(
    log=logs(),
    hand_over=st.integers(0, 25),
    stops=st.lists(st.integers(0, 25), max_size=3),
    chunk=st.integers(1, 9),
    ever=kept,
)
def test_backfill_crashes_and_hand_over_leave_what_the_oracle_says_at_every_row(
    log, hand_over, stops, chunk, ever
):
    """The backfill is interrupted, goes on, hands over at an offset, and a worker goes on from there."""
    plan = direct_plan(ever=ever)
    records = past(log)
    with tempfile.TemporaryDirectory() as name:
        folder, work = Path(name) / "log", Path(name) / "work"
        ParquetFeatureLog(folder, plan)
        for view in plan.stream_views:
            for stop in [*stops, hand_over]:
                one = PartitionBackfill(plan, view.name, 0, folder, work / view.name, Span())
                left = [r for r in records[: min(stop, hand_over)] if r.offset >= one.position]
                for _ in one.run(left, chunk):
                    pass
        live, feature_log = SourcePartition(plan, plan.sources[0], 0), ParquetFeatureLog(folder, plan)
        live.restore(one.entries())
        assert live.next_offset == min(hand_over, len(records))
        for at in range(0, len(records), chunk):  # as a new consumer group, from the beginning
            for rows in live.process(LogRecords.of(records[at : at + chunk])).rows:
                assert rows.offset > hand_over
                feature_log.append(rows)
        feature_log.flush()
        assert live.record_counts == judge(log, rules_of(plan)).counts
        for view in plan.stream_views:
            assert_rows_are_right(plan, view.name, log, logged(folder, plan, view.name))


def assert_rows_are_right(plan: Plan, view: str, log: list[OracleEvent], rows: list[dict]) -> None:
    """Each row is what the oracle says of its prefix; and of every key the last is of all its events."""
    keys = tuple(key.name for key in plan.stream_view(view).join_keys)
    last: dict[tuple, dict] = {}
    for row in rows:
        key = tuple(row[name] for name in keys)
        assert_row_is_right(plan, view, log[: row["_offset"]], key, row)
        if key not in last or row["event_timestamp"] >= last[key]["event_timestamp"]:
            last[key] = row
    judged = judge(log, rules_of(plan))
    events = {tuple(fields[name] for name in keys) for _, _, fields in judged.accepted}
    assert events == last.keys()
    for key, row in last.items():
        assert_row_is_right(plan, view, log, key, row)


def assert_row_is_right(plan: Plan, view: str, log: list[OracleEvent], key: tuple, row: dict) -> None:
    names = tuple(k.name for k in plan.stream_view(view).join_keys)
    judged = judge(log, rules_of(plan))
    of_key = [
        (time_ms, (offset,), fields)
        for time_ms, offset, fields in judged.accepted
        if tuple(fields[name] for name in names) == key
    ]
    want = features_at(of_key, judged.clock_ms, names, oracle_features(plan, view)).get(key, {})
    got = {name: row[name] for name in want}
    assert got == want or (is_empty(got) and is_empty(want)), (key, row["_offset"])


def test_only_rows_of_the_span_are_written_and_nothing_appended_after_it_is_read(tmp_path):
    plan = direct_plan()
    records = past([purchase(n, 1000 + 10 * n) for n in range(10)])
    one = PartitionBackfill(plan, "by_user", 0, tmp_path / "log", tmp_path / "work", Span(1030, 1060))
    assert [*one.run(appended_before(records, 1060), 4)] == [4, 6]
    times = [row["event_timestamp"].timestamp() * 1000 for row in logged(tmp_path / "log", plan, "by_user")]
    assert times == pytest.approx([1030, 1040, 1050])
    with pytest.raises(StateError, match="another span"):
        PartitionBackfill(plan, "by_user", 0, tmp_path / "log", tmp_path / "work", Span())


def test_records_whose_schema_is_in_the_registry_are_backfilled(tmp_path):
    plan = direct_plan()
    records = past([purchase(n, 1000 + 7 * n) for n in range(6)])
    written = [
        replace(record, value=b"\0\0\0\0\x0c" + record.value[5:]) for record in records if record.value
    ]
    with SchemaRegistryStandIn({12: json.loads(EVENT_SCHEMA)}) as registry:
        one = PartitionBackfill(plan, "by_both", 0, tmp_path / "log", tmp_path / "work", Span())
        assert [*one.run(written, supply=RegistryLookup(registry.url).supply)] == [6]
    assert one.state.record_counts == {"applied": 6, "late": 0, "dead": 0, "marks": 0}
    assert logged(tmp_path / "log", plan, "by_both")[-1]["count_amount_200_50"] == 6
