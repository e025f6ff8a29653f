"""The plan knows what push sources feed, and by which columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.plans.diff import plan_changes
from headrace.schemas.errors import UnknownNameError
from headrace.schemas.plan import Plan
from headrace.schemas.push_specs import PushSourceSpec
from tests.support.edits import Append, Replace

PUSHED = """
    from feast import LabelView, PushSource

    table = FileSource(
        name="table", path="data/t.parquet", timestamp_field="at", field_mapping={"raw": "x"}
    )
    pushed = PushSource(name="pushed stats", batch_source=table)
    idle = PushSource(name="idle", batch_source=table)
    X = [Field(name="x", dtype=Int64)]
    second = FeatureView(name="second", entities=[carrier], schema=X, source=pushed)
    first = FeatureView(name="first", entities=[carrier], schema=X, source=pushed)
    unserved = FeatureView(name="unserved", entities=[carrier], schema=X, source=pushed, online=False)
    labels = LabelView(
        name="labels", entities=[carrier], schema=[*X, Field(name="by", dtype=String)], source=idle,
        labeler_field="by",
    )
"""


def test_a_push_source_has_the_views_that_are_served_and_the_columns_of_its_table(
    repo: Path, append: Append
) -> None:
    append(PUSHED)
    plan = compile_features(repo).plan()
    assert plan.push_sources == (
        PushSourceSpec(
            name="pushed stats",
            timestamp_field="at",
            views=("first", "second"),
            field_mapping=(("raw", "x"),),
        ),
    )
    with pytest.raises(UnknownNameError, match="push source not found: 'idle'; known: pushed stats"):
        plan.push_source("idle")


def test_a_stream_view_on_a_push_source_is_left_out_by_name_and_feeds_nothing(
    repo: Path, replace: Replace, append: Append
) -> None:
    replace("FileSource, KafkaSource", "FileSource, KafkaSource, PushSource")
    replace(
        "\n\ncarrier_delays = ",
        '\n\npushed = PushSource(name="pushed", batch_source=departures.batch_source)\n\ncarrier_delays = ',
    )
    replace("source=departures,\n    timestamp", "source=pushed,\n    timestamp")
    parts = compile_features(repo)
    assert parts.push_sources == ()
    (reason,) = (each for each in parts.left_out if "carrier_delays" in each.name)
    assert "its source 'pushed' is a PushSource" in reason.problem


def test_a_plan_without_push_sources_is_the_text_that_it_was(repo: Path) -> None:
    plan = compile_features(repo).plan()
    assert "push_sources" not in plan.to_json()
    assert Plan.from_json(plan.to_json()).hash == plan.hash


def test_the_diff_names_push_sources(repo: Path, append: Append) -> None:
    old = compile_features(repo).plan()
    append(PUSHED)
    new = compile_features(repo).plan()
    assert "+ push source pushed stats" in [change.title for change in plan_changes(old, new)]
    assert "- push source pushed stats" in [change.title for change in plan_changes(new, old)]
    (source,) = new.push_sources
    fewer = new.model_copy(update={"push_sources": (source.model_copy(update={"views": ("first",)}),)})
    (change,) = plan_changes(new, fewer)
    assert change.lines == ("~ views: first, second -> first",)
