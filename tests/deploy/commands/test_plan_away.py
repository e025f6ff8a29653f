"""`headrace plan` where Redis or Kafka cannot be reached: it tells what can be told, and what cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from headrace.deploy.cli.main import app
from headrace.schemas.errors import ServiceUnavailable
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
