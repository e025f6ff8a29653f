"""A backfill goes on from files of its own definitions, also from those an earlier version named."""

from __future__ import annotations

from pathlib import Path

from headrace.featurestore.backfill.partition import PartitionBackfill
from headrace.featurestore.backfill.span import Span
from headrace.schemas.follows_from import log_definition
from headrace.schemas.plan import Plan
from tests.support.purchase_record import record
from tests.support.purchases import purchases_plan

PLAN = purchases_plan(shards=2)
EVENTS = [record(offset, 1000 + offset) for offset in range(5)]


def partition(plan: Plan, folder: Path) -> PartitionBackfill:
    return PartitionBackfill(plan, "by_user", 0, folder / "log", folder / "work", Span())


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "work").iterdir())


def rename_as_before(folder: Path) -> None:
    before = log_definition(PLAN, PLAN.stream_view("by_user"))
    for file in (folder / "work").iterdir():
        file.rename(file.with_name(f"{before}-{file.name.partition('-')[2]}"))


def test_another_view_on_the_topic_begins_anew_with_blocks_of_its_own(tmp_path: Path) -> None:
    assert list(partition(PLAN, tmp_path).run(EVENTS)) == [5]
    assert partition(PLAN, tmp_path).position == 5
    fewer = PLAN.model_copy(update={"stream_views": PLAN.stream_views[:2]})
    assert log_definition(fewer, fewer.stream_views[0]) == log_definition(PLAN, PLAN.stream_views[0])
    assert partition(fewer, tmp_path).position == 0
    assert partition(PLAN, tmp_path).position == 5


def test_files_that_an_earlier_version_named_are_gone_on_from(tmp_path: Path) -> None:
    list(partition(PLAN, tmp_path).run(EVENTS))
    now = names(tmp_path)
    assert any("-blocks-" in name for name in now)
    rename_as_before(tmp_path)
    assert not set(names(tmp_path)) & set(now)
    assert partition(PLAN, tmp_path).position == 5
    assert names(tmp_path) == now


def test_files_of_before_with_the_state_of_other_views_are_left_alone(tmp_path: Path) -> None:
    list(partition(PLAN, tmp_path).run(EVENTS))
    rename_as_before(tmp_path)
    before = names(tmp_path)
    fewer = PLAN.model_copy(update={"stream_views": PLAN.stream_views[:2]})
    assert partition(fewer, tmp_path).position == 0
    assert names(tmp_path) == before
