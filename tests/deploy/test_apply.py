"""`headrace plan` and `headrace apply` of a project whose definitions change, on real Kafka and Redis."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from featurestore.plan_store import PlanStore

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def repo(tmp_path: Path, project: str) -> Path:
    folder = tmp_path / "clicks"
    shutil.copytree(Path(__file__).parent / "clicks", folder)
    config = folder / "feature_store.yaml"
    config.write_text(config.read_text().replace("project: clicks", f"project: {project}"))
    features = folder / "features.py"
    features.write_text(features.read_text().replace('topic="clicks"', f'topic="{project}.clicks"'))
    return folder


@pytest.fixture
def headrace(repo: Path, kafka_bootstrap: str, redis_url: str) -> Run:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        environment = dict(
            os.environ, HEADRACE_KAFKA=kafka_bootstrap, HEADRACE_REDIS=redis_url, PYTHONPATH=str(ROOT)
        )
        command = [sys.executable, "-P", "-m", "deploy.cli", *words]
        return subprocess.run(command, cwd=repo, env=environment, capture_output=True, text=True)

    return run


def test_an_unsafe_change_is_told_refused_and_applied_when_asked_for(
    headrace: Run, repo: Path, redis_url: str, project: str
) -> None:
    assert "+ stream feature view user_clicks" in headrace("plan").stdout
    assert headrace("apply").returncode == 0
    assert headrace("plan").stdout == "nothing would change\n"
    features = repo / "features.py"
    features.write_text(
        features.read_text().replace(
            'time_window=timedelta(hours=1),\n            slide_interval=timedelta(minutes=5), name="spent_1h"',
            'time_window=timedelta(hours=2),\n            slide_interval=timedelta(minutes=5), name="spent_1h"',
        )
    )
    told = headrace("plan")
    assert told.returncode == 0
    assert "~ feature spent_1h: window: 1:00:00 -> 2:00:00" in told.stdout
    assert "cost: learners affected: live" in told.stdout
    before = PlanStore(redis_url, project).load()
    refused = headrace("apply")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "features.py: stream feature view 'user_clicks', feature 'spent_1h'" in refused.stderr
    for words in ("window: 1:00:00 -> 2:00:00", "learner 'live'", "a name of its own", "--allow-unsafe"):
        assert words in refused.stderr
    assert PlanStore(redis_url, project).load() == before
    assert headrace("apply", "--allow-unsafe").returncode == 0
    assert headrace("plan").stdout == "nothing would change\n"
