"""`materialize --every`: tables are written at once, again and again, and for every plan in force."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace import FeatureClient
from headrace.deploy.cli.main import app
from headrace.deploy.commands import keep_materialized
from headrace.deploy.commands.apply import apply_plan, compile_project
from headrace.deploy.commands.keep_materialized import KeepMaterialized
from headrace.deploy.settings import Settings, load_settings
from headrace.featurestore.plans.store import PlanStore
from tests.support.batch_project import add_view, batch_project, write_ages
from tests.support.waiting import eventually


@pytest.fixture
def settings(redis_url: str, project: str, tmp_path: Path) -> Settings:
    return load_settings(batch_project(tmp_path / "shop", project), redis=redis_url)


def apply(settings: Settings) -> None:
    apply_plan(settings, compile_project(settings.project_dir).plan)


def ages(settings: Settings, view: str = "ages") -> list[int | None]:
    plan = PlanStore(settings.redis, settings.project_name, settings.plan_signing_key()).load()
    with FeatureClient(plan, settings.redis) as client:
        rows = client.get_online_features([f"{view}:age"], [{"user": "ada"}, {"user": "bob"}]).to_dict()
    return list(rows[f"{view}__age"])


@pytest.fixture
def running(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One that looks often for another plan, in a thread."""
    monkeypatch.setattr(keep_materialized, "LOOK_S", 0.01)
    keeper, ends = KeepMaterialized(settings, timedelta(hours=1), True, timedelta(hours=6)), threading.Event()
    thread = threading.Thread(target=keeper.run, args=(ends,))
    thread.start()
    yield
    ends.set()
    thread.join()


@pytest.mark.usefixtures("running")
def test_tables_are_written_right_after_the_first_apply_and_for_each_plan(
    settings: Settings,
) -> None:
    apply(settings)
    eventually(lambda: ages(settings), "the rows of the table", lambda found: found == [36, 41])
    add_view(settings.project_dir)
    apply(settings)
    eventually(lambda: ages(settings, "more_ages"), "those of a new view", lambda found: found == [36, 41])


def test_a_run_that_fails_is_told_and_tried_again(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = KeepMaterialized(settings, timedelta(hours=1), True, timedelta(hours=6))
    assert not keeper.write()
    assert "there is no plan yet: waiting for `headrace apply`" in caplog.text
    apply(settings)
    (settings.project_dir / "data" / "ages.parquet").rename(settings.project_dir / "away")
    assert not keeper.write()
    assert "ages" in str(keeper.waits_for)
    (settings.project_dir / "away").rename(settings.project_dir / "data" / "ages.parquet")
    assert keeper.write()
    assert keeper.waits_for is None
    write_ages(settings.project_dir, {"ada": 37, "bob": 42})
    assert keeper.write()
    assert ages(settings) == [37, 42]


def test_it_goes_on_or_ends_at_a_time_and_not_both(settings: Settings) -> None:
    words = ["materialize", str(settings.project_dir), "--every", "5", "--until", "2026-03-01"]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert "give one of them" in refused.output
