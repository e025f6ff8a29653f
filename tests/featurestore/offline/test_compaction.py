"""The feature log over several writers, crashes, compactions and changes of definitions."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace.featurestore.offline.compaction
from headrace.featurestore.offline.compaction import compact, latest_rows
from headrace.featurestore.offline.feature_log import ParquetFeatureLog, ViewLog
from headrace.featurestore.offline.point_in_time import History, join_as_of
from headrace.featurestore.tables.table_rows import TableRows
from headrace.schemas.plan import Plan
from headrace.streams.sinks import OnlineRows
from tests.support.properties import tries
from tests.support.purchases import purchases_plan


def plain_plan(**more: int) -> Plan:
    """Without lists, so that a row is easily made."""
    plan = purchases_plan(**more)
    views = [
        v.model_copy(update={"aggregations": tuple(a for a in v.aggregations if a.dtype[:5] != "Array")})
        for v in plan.stream_views
    ]
    return plan.model_copy(update={"stream_views": tuple(views)})


PLAN = plain_plan()
DAY_MS = 86_400_000


def row(user: int, as_of_ms: int, offset: int) -> OnlineRows:
    """A row of `by_user` all of whose features are a function of its place in the log."""
    view = PLAN.stream_view("by_user")
    features = tuple(
        (np.array([offset + n]), np.array([offset % 3 > 0])) for n, _ in enumerate(view.features)
    )
    return OnlineRows("by_user", (np.array([user]),), features, user % 2, offset, as_of_ms)


def contents(directory: Path, plan: Plan = PLAN) -> list[dict[str, Any]]:
    """What readers see: of each key and event time the row of the longest prefix."""
    files = ViewLog(directory, plan, "by_user").files()
    rows = latest_rows(
        pa.concat_tables([pq.ParquetFile(file).read() for file in files]), ["user"]
    ).to_pylist()
    return [{name: one[name] for name in ("user", "event_timestamp", "_offset")} for one in rows]


rows = st.tuples(
    st.integers(0, 3), st.sampled_from([0, 5, DAY_MS - 1, DAY_MS, 3 * DAY_MS]), st.integers(1, 9)
)
actions = st.one_of(
    st.tuples(st.just("write"), st.lists(rows, min_size=1, max_size=5)),
    st.tuples(st.sampled_from(["flush", "crash", "compact", "crash in compaction"]), st.none()),
)


@tries(60)
@given(st.lists(st.tuples(st.integers(0, 1), actions), max_size=25), st.sampled_from([1, 4000, 1 << 30]))
def test_no_row_is_lost_or_doubled_by_writers_crashes_and_compactions(steps, target_bytes):
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        writers = [ParquetFeatureLog(folder, PLAN), ParquetFeatureLog(folder, PLAN)]
        pending: list[list] = [[], []]
        model: dict[tuple[int, int], int] = {}
        for who, (action, written) in steps:
            if action == "write":
                for one in written:
                    writers[who].append(row(*one))
                pending[who] += written
            elif action == "flush":
                writers[who].flush()
                for user, as_of_ms, offset in pending[who]:
                    model[user, as_of_ms] = max(offset, model.get((user, as_of_ms), 0))
                pending[who] = []
            elif action == "crash":
                writers[who], pending[who] = ParquetFeatureLog(folder, PLAN), []
            elif action == "compact":
                compact(folder, PLAN, target_bytes)
            else:  # after the merged file is there, before its parts are gone
                patch.setattr(Path, "unlink", lambda *_, **__: None)
                compact(folder, PLAN, target_bytes)
                patch.undo()
        found = {
            (one["user"], round(one["event_timestamp"].timestamp() * 1000)): one["_offset"]
            for one in contents(folder)
        }
        assert found == model


def test_a_compacted_day_is_one_file_that_keeps_types_and_rows_in_order(tmp_path):
    log = ParquetFeatureLog(tmp_path, PLAN)
    for offset in (3, 1, 2):
        log.append(row(0, 10, offset))
        log.append(row(offset, DAY_MS + offset, offset))
        log.flush()
    before = contents(tmp_path)
    schema = pq.read_schema(ViewLog(tmp_path, PLAN, "by_user").files()[-1])
    told = {one.view: one for one in compact(tmp_path, PLAN)}["by_user"]
    assert (told.days, told.files, told.rows, told.rows_left) == (
        2,
        7,
        6,
        4,
    )  # 7: the empty one of 1970-01-01
    days = [files for _, files in ViewLog(tmp_path, PLAN, "by_user").days()]
    assert [len(files) for files in days] == [1, 1]
    assert pq.read_schema(days[1][0]) == schema
    assert contents(tmp_path) == before
    assert [one.files for one in compact(tmp_path, PLAN)] == [0, 0, 0]


def test_a_merge_that_another_compactor_has_done_is_left_to_it(tmp_path, monkeypatch):
    log = ParquetFeatureLog(tmp_path, PLAN)
    for offset in (1, 2):
        log.append(row(0, 10, offset))
        log.flush()
    slow = ViewLog(tmp_path, PLAN, "by_user")
    listed = [*slow.days()]
    compact(tmp_path, PLAN)
    monkeypatch.setattr(headrace.featurestore.offline.compaction.ViewLog, "days", lambda self: iter(listed))
    compact(tmp_path, PLAN)
    assert [one["_offset"] for one in contents(tmp_path)] == [2]


def test_rows_of_another_definition_are_aside_until_it_is_in_force_again(tmp_path):
    log = ParquetFeatureLog(tmp_path, PLAN)
    log.append(row(0, 10, 1))
    log.flush()
    changed = plain_plan(late_tiles=5)
    ParquetFeatureLog(tmp_path, changed)
    assert contents(tmp_path, changed) == []
    assert [*(tmp_path / "by_user").rglob("*.parquet")] == ViewLog(tmp_path, changed, "by_user").files()
    ParquetFeatureLog(tmp_path, PLAN)
    assert [one["_offset"] for one in contents(tmp_path)] == [1]


def test_a_name_given_again_replaces_the_file(tmp_path):
    for offset in (1, 2):
        log = ParquetFeatureLog(tmp_path, PLAN)
        log.append(row(0, 10 + offset, offset))
        log.flush("part-0")
    assert [one["_offset"] for one in contents(tmp_path)] == [2]


def test_what_a_crashed_writer_left_unfinished_is_neither_read_nor_kept_for_ever(tmp_path):
    import os

    ParquetFeatureLog(tmp_path, PLAN)
    day = next(iter((tmp_path / "by_user").iterdir()))
    new, old = day / ".a.unfinished", day / ".b.unfinished"
    for file in (new, old):
        file.write_bytes(b"PAR1")
    os.utime(old, (0, 0))
    compact(tmp_path, PLAN)
    assert new.exists()
    assert not old.exists()
    assert contents(tmp_path) == []


def test_a_later_offset_wins_over_one_that_a_crash_wrote_again(tmp_path):
    """Also before any compaction, and whatever was written last."""
    log = ParquetFeatureLog(tmp_path, PLAN)
    for offset in (5, 4):
        log.append(row(0, 10, offset))
        log.flush()
    asked = pa.table({"user": [0], "event_timestamp": pa.array([11], pa.timestamp("ms", "UTC"))})
    view = ViewLog(tmp_path, PLAN, "by_user")
    rows = TableRows("by_user", view.files, view.folder)
    history = History("by_user", rows, {"user": "user"}, {"offset": "_offset"})
    assert join_as_of(asked, "event_timestamp", [history])["offset"].to_pylist() == [5]
