"""What `compile_features` makes of a Feast repository."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.schemas.plan import Plan
from tests.support.edits import Append, objection


def test_plan_is_the_same_each_time_and_round_trips(repo: Path) -> None:
    plan = compile_features(repo).plan()
    assert plan.hash == compile_features(repo).plan().hash
    assert Plan.from_json(plan.to_json()) == plan


def test_reading_leaves_nothing_behind(repo: Path) -> None:
    before = (os.getcwd(), list(sys.path), set(sys.modules))
    compile_features(repo)
    assert (os.getcwd(), list(sys.path)) == before[:2]
    assert "features" not in set(sys.modules) - before[2]


def test_a_file_may_be_called_like_a_module_of_the_application(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = ModuleType("streams")
    monkeypatch.setitem(sys.modules, "streams", streams)
    (repo / "features.py").rename(repo / "streams.py")
    assert len(compile_features(repo).stream_views) == 1
    assert sys.modules["streams"] is streams


def test_learners_file_is_not_imported_as_features(repo: Path) -> None:
    (repo / "learners.py").write_text("raise RuntimeError('not for Feast')\n")
    assert len(compile_features(repo).stream_views) == 1


def test_everything_is_in_order_of_its_name(repo: Path, append: Append) -> None:
    append("""
        aaa = FeatureView(
            name="aaa", entities=[carrier], schema=[Field(name="x", dtype=Int64)],
            source=FileSource(name="aaa_table", path="a.parquet", timestamp_field="at"),
        )
        a_service = FeatureService(name="a_service", features=[aaa])
        """)
    parts = compile_features(repo)
    assert [view.name for view in parts.batch_views] == ["aaa", "airlines"]
    assert [service.name for service in parts.services] == ["a_service", "delays"]


def test_the_place_of_an_object_is_known_and_that_of_an_unknown_one_is_the_folder(repo: Path) -> None:
    parts = compile_features(repo)
    for kind, name in [
        ("source", "departures"),
        ("stream feature view", "carrier_delays"),
        ("feature view", "airlines"),
        ("feature service", "delays"),
    ]:
        file, _, line = parts.place_of(kind, name).partition(":")
        assert file == "features.py"
        assert f'{name}"' in "".join((repo / file).read_text().splitlines()[int(line) - 1 : int(line) + 1])
    assert parts.place_of("feature view", "gone") == parts.place_of("entity", "carrier") == str(repo)


def test_a_version_of_a_view_is_left_out(repo: Path, append: Append) -> None:
    append("""
        old = FeatureView(
            name="old", entities=[carrier], schema=[Field(name="x", dtype=Int64)], version="v2",
            source=FileSource(name="old_table", path="a.parquet", timestamp_field="at"),
        )
        """)
    assert "feature view 'old': it has version='v2', which is not served" in str(objection(repo))
