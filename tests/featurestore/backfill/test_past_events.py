"""Past events out of files are the records that the topic would have."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from headrace.featurestore.backfill.partition import PartitionBackfill
from headrace.featurestore.backfill.past_events import EventFiles
from headrace.featurestore.backfill.span import Span
from headrace.schemas.errors import HeadraceError
from headrace.schemas.event_times import EARLIEST_MS, LATEST_MS
from headrace.schemas.feature_specs import SourceSpec
from headrace.streams.intake.range_decoder import RangeDecoder
from headrace.streams.log.records import LogRecords
from tests.support.backfill_logs import direct_plan, logged, past, purchase

SOURCE = direct_plan().sources[0]
MOMENT_NS = 1_357_041_600 * 10**9  # 2013-01-01 12:00 UTC


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_events_of_files_give_the_rows_that_events_of_the_topic_give(tmp_path, kind):
    plan = direct_plan()
    events = [purchase(n, 1000 + 7 * n, n % 3) for n in range(12)]
    table = pa.Table.from_pylist([{**e.fields, "note": "n"} for e in reversed(events)])
    if kind == "csv":
        pyarrow.csv.write_csv(table, tmp_path / "events.csv")
    else:
        pq.write_table(table, tmp_path / "events.parquet")
    files = EventFiles(tmp_path / f"events.{kind}", plan.sources[0])
    assert (files.partitions, files.has_offsets) == ([0], False)
    found = []
    for where, records in (("a", files.records(0, 0)), ("b", past(events))):
        one = PartitionBackfill(plan, "by_both", 0, tmp_path / where, tmp_path / f"w{where}", Span())
        assert [*one.run(records)] == [12]
        found.append(logged(tmp_path / where, plan, "by_both"))
    assert found[0] == found[1]
    assert len(found[0]) == 12  # four of each user: one for each range that has events of theirs


def test_files_with_offsets_are_the_topic(tmp_path):
    table = pa.table(
        {"event_ms": [5, 6, 7], "_offset": [3, 1, 2], "_partition": [1, 0, 1], "user": [1, 2, 3]}
    )
    table = table.append_column("note", pa.array(["n"] * 3))
    pq.write_table(table, tmp_path / "e.parquet")
    files = EventFiles(tmp_path, direct_plan().sources[0])
    assert (files.partitions, files.has_offsets) == ([0, 1], True)
    assert [(r.offset, r.timestamp) for r in files.records(1, 0)] == [(2, 7), (3, 5)]
    assert [r.offset for r in files.records(1, 3)] == [3]


def source(**changes: Any) -> SourceSpec:
    return SOURCE.model_copy(update=changes)


@pytest.mark.parametrize(
    ("unit", "written", "per_ms"), [("ms", 1_357_041_600_000, 1), ("us", 1_357_041_600_000_000, 1000)]
)
def test_times_are_written_in_the_unit_of_the_topic(
    tmp_path: Path, unit: str, written: int, per_ms: int
) -> None:
    moment = datetime(2013, 1, 1, 12, tzinfo=UTC)
    table = pa.table({"event_ms": pa.array([moment], pa.timestamp("us", "UTC")), "user": [1]})
    pq.write_table(table, tmp_path / "e.parquet")
    files = EventFiles(tmp_path, source(format="json", timestamp_unit=unit))
    (record,) = files.records(0, 0)
    assert json.loads(record.value or b"") == {"event_ms": written, "user": 1}
    assert record.timestamp == written // per_ms


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["2013-01-01T12:00:00.0005Z", "2013-01-01T14:00:00+02:00"]),
        pa.array([MOMENT_NS + 500_000, MOMENT_NS], pa.timestamp("ns")),
        pa.array([MOMENT_NS + 500_000, MOMENT_NS], pa.timestamp("ns", "Asia/Tokyo")),
        pa.array([MOMENT_NS // 1_000_000] * 2, pa.int64()),
        pa.array([MOMENT_NS / 1_000_000] * 2, pa.float64()),
    ],
    ids=["text", "without a zone", "of another zone", "whole numbers", "whole numbers as floats"],
)
@pytest.mark.parametrize("form", ["json", "avro"])
def test_event_times_may_be_written_as_events_have_them(tmp_path: Path, column: pa.Array, form: str) -> None:
    """Text with a zone, as JSON events have it, timestamps and numbers; rounded down."""
    pq.write_table(pa.table({"event_ms": column, "user": [1, 2], "note": ["n", "n"]}), tmp_path / "e.parquet")
    plan = direct_plan()
    of = plan.sources[0].model_copy(update={"format": form})
    plan = plan.model_copy(update={"sources": (of,)})
    records = [*EventFiles(tmp_path, of).records(0, 0)]
    assert [record.timestamp for record in records] == [MOMENT_NS // 1_000_000] * 2
    decoded = RangeDecoder(of, plan.views_of(of.name)).decode(LogRecords.of(records))
    assert decoded.malformed == {}
    assert decoded.times.tolist() == [MOMENT_NS // 1_000_000] * 2


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array(["yesterday"]), "have string in column 'event_ms', which are no event times"),
        (pa.array([1.5]), "have double in column 'event_ms'"),
        (pa.array([None], pa.int64()), "1 events in .* have no time in column 'event_ms'"),
        (pa.array([[1]]), "in column 'event_ms', which are no event times"),
    ],
)
def test_what_is_no_event_time_is_refused(tmp_path: Path, column: pa.Array, said: str) -> None:
    pq.write_table(pa.table({"event_ms": column}), tmp_path / "e.parquet")
    with pytest.raises(HeadraceError, match=said):
        EventFiles(tmp_path, SOURCE)


def test_values_that_json_has_no_form_for_are_written_as_it_can(tmp_path: Path) -> None:
    """What pandas writes as NaN is null, and the topic would not have it otherwise."""
    seen = pa.array([MOMENT_NS], pa.timestamp("ns"))
    table = pa.table({"event_ms": [5], "amount": pa.array([float("nan")]), "seen": seen})
    pq.write_table(table, tmp_path / "e.parquet")
    (record,) = EventFiles(tmp_path, source(format="json")).records(0, 0)
    event = json.loads(record.value or b"")
    assert event == {"event_ms": 5, "amount": None, "seen": "2013-01-01T12:00:00+00:00"}


def test_an_append_time_may_be_given(tmp_path: Path) -> None:
    pq.write_table(pa.table({"event_ms": [5, 6], "_timestamp": [50, 60]}), tmp_path / "e.parquet")
    records = [*EventFiles(tmp_path, source(format="json")).records(0, 0)]
    assert [(r.timestamp, json.loads(r.value or b"")) for r in records] == [
        (50, {"event_ms": 5}),
        (60, {"event_ms": 6}),
    ]


def test_files_of_one_folder_are_one_log_and_a_column_that_one_lacks_is_null(tmp_path: Path) -> None:
    pq.write_table(pa.table({"event_ms": [5, 9], "user": [1, 2]}), tmp_path / "a.parquet")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.csv").write_text("event_ms\n7\n")
    records = [*EventFiles(tmp_path, source(format="json")).records(0, 0)]
    assert [json.loads(r.value or b"")["user"] for r in records] == [1, None, 2]
    assert [r.offset for r in records] == [0, 1, 2]


def test_files_without_events_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HeadraceError, match="has no Parquet or CSV file; name"):
        EventFiles(tmp_path, SOURCE)
    with pytest.raises(HeadraceError, match=r"cannot be read: .*name Parquet or CSV files of events"):
        EventFiles(tmp_path / "none.parquet", SOURCE)
    (tmp_path / "e.csv").write_text("user,at\n1,5\n")
    with pytest.raises(HeadraceError, match=r"no column 'event_ms', the event time \(found: user, at\); add"):
        EventFiles(tmp_path / "e.csv", SOURCE)


def test_an_event_that_does_not_fit_its_schema_costs_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = direct_plan()
    events = [{**purchase(n, 1000 + n, 1).fields, "note": "n"} for n in range(3)]
    table = pa.Table.from_pylist(events).drop_columns("note")
    notes = pa.array(["n", None, "n"])  # which a record cannot lack
    pq.write_table(table.append_column("note", notes), tmp_path / "events.parquet")
    records = EventFiles(tmp_path / "events.parquet", plan.sources[0]).records(0, 0)
    decoded = RangeDecoder(plan.sources[0], plan.stream_views).decode(LogRecords.of([*records]))
    assert [*decoded.malformed] == [1]
    assert "event 1 is dead" in caplog.text


@pytest.mark.parametrize(("unit", "far"), [("s", 10**13), ("ms", 10**16)])
def test_a_time_of_another_unit_is_no_other_time(tmp_path: Path, unit: str, far: int) -> None:
    times = pa.array([far, 1, -far], pa.timestamp(unit))
    pq.write_table(pa.table({SOURCE.timestamp_field: times}), tmp_path / "events.parquet")
    files = EventFiles(tmp_path / "events.parquet", SOURCE.model_copy(update={"format": "json"}))
    found = [json.loads(record.value or b"")[SOURCE.timestamp_field] for record in files.records(0, 0)]
    assert [not EARLIEST_MS <= time_ms <= LATEST_MS for time_ms in found] == [True, False, True]


def test_times_that_python_cannot_hold_are_told(tmp_path: Path) -> None:
    table = {SOURCE.timestamp_field: [5], "seen": pa.array([10**15], pa.timestamp("s"))}
    pq.write_table(pa.table(table), tmp_path / "events.parquet")
    with pytest.raises(HeadraceError, match="no year from 1 to 9999"):
        [*EventFiles(tmp_path / "events.parquet", SOURCE).records(0, 0)]
