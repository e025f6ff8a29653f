"""`headrace plan` where Redis or Kafka is away, or cannot do it: it tells what can be told, and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from headrace.deploy.cli.main import app
from headrace.deploy.local.mock_kafka import MockKafka
from headrace.featurestore.plans.store import PlanStore
from headrace.schemas.errors import ServiceUnavailable, SettingsError
from tests.support.clicks_project import make_clicks_project


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = make_clicks_project(tmp_path)
    config = folder / "feature_store.yaml"
    config.write_text(config.read_text() + "flags:\n  alpha_features: true\n")
    return folder


def plan(repo: Path) -> Result:
    return CliRunner().invoke(app, ["plan", str(repo)])


def test_without_redis_the_notes_are_told_and_the_end_is_that_of_apply(
    repo: Path, free_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_KAFKA", f"127.0.0.1:{free_port}")
    monkeypatch.setenv("HEADRACE_REDIS", f"unix://{tmp_path}/none.sock")
    told = plan(repo)
    assert told.output.startswith("what would change cannot be told: the plan cannot be read: ")
    assert "feature_store.yaml: " in told.output
    assert "whether topics fit the plan, and `headrace apply` takes them, cannot be told" in told.output
    assert isinstance(told.exception, ServiceUnavailable)


def test_without_kafka_alone_nothing_is_refused(
    repo: Path, redis_url: str, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_KAFKA", f"127.0.0.1:{free_port}")
    monkeypatch.setenv("HEADRACE_REDIS", redis_url)
    told = plan(repo)
    assert told.exception is None
    assert "+ stream feature view user_clicks" in told.output
    assert "cannot be told" in told.output


def test_more_shards_than_the_broker_can_make_are_refused_by_plan_as_by_apply(
    repo: Path, redis_url: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """librdkafka's built-in broker has four partitions of a topic, and cannot be asked for more."""
    broker, features = MockKafka(), repo / "features.py"
    monkeypatch.setenv("HEADRACE_KAFKA", broker.bootstrap)
    monkeypatch.setenv("HEADRACE_REDIS", redis_url)
    config = repo / "feature_store.yaml"
    config.write_text(config.read_text().replace("project: clicks", f"project: {project}"))
    text = features.read_text().replace('tags={"headrace.key": "user"}', 'tags={"headrace.shards": "4"}')
    features.write_text(text)
    applied = CliRunner().invoke(app, ["apply", str(repo)], catch_exceptions=False)
    assert "applied plan" in applied.output
    registry = repo / "data" / "registry.db"
    before = registry.read_bytes(), PlanStore(redis_url, project).load()
    features.write_text(text.replace('"headrace.shards": "4"', '"headrace.shards": "8"'))
    told = plan(repo)
    assert "~ shards: 4 -> 8" in told.output
    refused = CliRunner().invoke(app, ["apply", str(repo)])
    assert isinstance(told.exception, SettingsError)
    assert "has 4 partitions, the plan needs 8" in str(told.exception)
    assert str(told.exception) == str(refused.exception)
    assert (registry.read_bytes(), PlanStore(redis_url, project).load()) == before
    broker.close()
