"""`headrace init`: what it writes is planned, applied and run once around the loop."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis
from feast import FeatureStore
from typer.testing import CliRunner

from headrace import FeatureClient
from headrace.deploy.cli.main import app
from headrace.deploy.commands.apply import compile_project
from headrace.deploy.commands.init import write_project
from headrace.deploy.commands.plan_report import describe_changes
from headrace.deploy.commands.status import read_status, topics_read
from headrace.deploy.stack import LocalStack
from headrace.learners.lineage import Lineage, ModelVersions
from headrace.learners.models.versions import read_versions
from headrace.schemas.errors import SettingsError
from headrace.streams.connections.kafka_admin import end_offsets
from tests.support.feast_online import connection_string


@pytest.mark.usefixtures("servers")
def test_a_new_project_is_planned_applied_and_run_once_around_the_loop(tmp_path: Path) -> None:
    folder = tmp_path / "web-shop"
    done = CliRunner().invoke(app, ["init", str(folder)], catch_exceptions=False)
    assert f"wrote {folder / 'features.py'}" in done.output
    compiled = compile_project(folder)
    plan = compiled.plan
    assert plan.project == "web_shop"
    assert [source.topic for source in plan.sources] == ["web_shop.orders"]
    with LocalStack(folder, partitions=2, publish_every_s=0.1) as stack:
        assert stack.plan == plan
        assert describe_changes(stack.settings, compiled, asks_kafka=True) == "nothing would change"
        environment = stack.settings.environment() | {"HEADRACE_SERVE": stack.serve_url}
        tried = subprocess.run(
            [sys.executable, "try_it.py"], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert tried.returncode == 0, tried.stderr
        stack.check()
        with redis.Redis.from_url(stack.redis_url) as client:
            versions = ModelVersions(client, plan.project, read_versions(stack.bootstrap, plan.project))
            ends = end_offsets(stack.bootstrap, topics_read(plan))
            checked = read_status(client, plan, ends).expectations["web_shop.orders"]
            (spent,) = Lineage(plan, versions).find("customer_orders:spent_1h")
        by_feast, by_headrace = read_with_both(folder, stack.redis_url)
    assert by_feast == by_headrace
    assert by_feast["customers__vip"] == [True, False, False]
    assert all(by_feast["customer_orders__orders_1h"])
    told = tried.stdout.splitlines()
    assert [line.split(":")[0] for line in told] == ["features"] * 3 + ["prediction"] * 10 + ["model"] * 2
    assert "'customers__years': 7" in told[0]
    learned = int(re.findall(r"'offset': (\d+)", told[-1])[0])  # marks are in the log, too
    assert learned >= 10
    assert checked == {"checked": 300}
    assert spent.learners[0].learner == "regression"
    assert spent.learners[0].serving is not None


def read_with_both(folder: Path, redis_url: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same features of the same customers, by Feast alone and by the SDK."""
    service, rows = "customer_features", [{"customer": name} for name in ("ada", "bob", "eve")]
    store = FeatureStore(repo_path=str(folder))
    assert store.config.online_store.connection_string == "127.0.0.1:6379"  # as HEADRACE_REDIS, unset
    store.config.online_store.connection_string = connection_string(redis_url)
    by_feast = store.get_online_features(store.get_feature_service(service), rows, full_feature_names=True)
    with FeatureClient.connect(redis_url, store.project) as client:
        return by_feast.to_dict(), client.get_online_features(service, rows).to_dict()


def test_what_exists_is_never_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "features.py").write_text("mine")
    with pytest.raises(SettingsError, match=r"features\.py: there already"):
        write_project(folder)
    assert [file.name for file in folder.iterdir()] == ["features.py"]
    assert (folder / "features.py").read_text() == "mine"


def test_a_run_that_was_interrupted_is_completed_by_another(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    written = write_project(folder)
    contents = {file: file.read_bytes() for file in written}
    with pytest.raises(SettingsError, match="there already"):
        write_project(folder)
    for missing in written:
        missing.unlink()
        assert write_project(folder) == written
        assert {file: file.read_bytes() for file in written} == contents


def test_other_files_in_the_directory_are_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    written = write_project(folder)
    assert (folder / "notes.txt").read_text() == "mine"
    assert folder / ".gitignore" in written
    assert all("my_project" not in file.read_text() for file in written if file.suffix != ".parquet")


@pytest.mark.parametrize("name", ["my shop", "ünlü", ".hidden"])
def test_a_name_that_no_project_may_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="cannot be the name of a project"):
        write_project(tmp_path / name)
    assert not (tmp_path / name).exists()
