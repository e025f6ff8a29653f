"""What `headrace plan` tells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from featurestore.plan_diff import plan_diff
from featurestore.repository import compile_features
from schemas.plan import LearnerSpec


def test_everything_is_added_where_there_was_no_plan(repo: Path) -> None:
    learner = LearnerSpec(name="logistic", service="delays", target="late", definition="abc")
    lines = plan_diff(None, compile_features(repo).plan(learners=[learner]))
    assert "+ source departures" in lines
    assert "+ stream feature view carrier_delays" in lines
    assert (
        "    + feature mean_1h: mean of dep_delay over 1:00:00 every 0:15:00, Float64, quantum 0.01" in lines
    )
    assert "+ feature service delays" in lines
    assert "    + feature airlines:fleet" in lines
    assert lines[-1] == "+ learner logistic"


def test_nothing_is_told_where_nothing_changes(repo: Path) -> None:
    plan = compile_features(repo).plan()
    assert plan_diff(plan, plan) == []


def test_changed_fields_and_features_are_told(repo: Path, replace: Callable[[str, str], None]) -> None:
    old = compile_features(repo).plan()
    replace("ttl=timedelta(days=1)", "ttl=timedelta(days=2)")
    replace("slide_interval=timedelta(minutes=15)", "slide_interval=timedelta(minutes=10)")
    replace('airlines[["fleet", "full_name"]]', 'airlines[["fleet", "share"]]')
    lines = plan_diff(old, compile_features(repo).plan())
    assert lines == [
        "~ stream feature view carrier_delays",
        "    ~ ttl_ms: 86400000 -> 172800000",
        "    ~ feature mean_1h: mean of dep_delay over 1:00:00 every 0:15:00, Float64, quantum 0.01"
        " -> feature mean_1h: mean of dep_delay over 1:00:00 every 0:10:00, Float64, quantum 0.01",
        "~ feature service delays",
        "    - feature airlines:full_name",
        "    + feature airlines:share",
    ]


def test_removed_objects_are_told(repo: Path) -> None:
    plan = compile_features(repo).plan()
    lines = plan_diff(plan, plan.model_copy(update={"services": (), "batch_views": ()}))
    assert lines == ["- feature view airlines", "- feature service delays"]
