"""Children have what they need to run, and none of the secrets of their parent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.deploy.local.child import Child
from headrace.deploy.local.environment import bare_environment, environment_without_counters

SECRETS = {
    "HEADRACE_MODEL_KEY": "s3cret",
    "HEADRACE_REDIS": "redis://:s3cret@redis",
    "AWS_SECRET_ACCESS_KEY": "s3cret",
    "DATABASE_URL": "postgres://u:s3cret@db",
    "PATH_TO_SECRET": "s3cret",
    "JAVA_TOOL_OPTIONS": "-Dpassword=s3cret",
}
PRINT = "import os; print(dict(os.environ), flush=True)"


def printed(tmp_path: Path, env: dict[str, str] | None = None) -> str:
    child = Child("sample", [sys.executable, "-c", PRINT], tmp_path / "log", env=env).start()
    assert child._process is not None
    assert child._process.wait() == 0
    return child.last_lines()


def test_a_child_has_what_it_needs_of_the_environment_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LC_TIME", "C")
    found = printed(tmp_path)
    assert "s3cret" not in found
    assert repr(os.environ["PATH"]) in found
    assert "'LC_TIME': 'C'" in found


def test_a_child_has_the_environment_that_it_is_given(tmp_path: Path) -> None:
    found = printed(tmp_path, {"HEADRACE_REDIS": "redis://here"})
    assert "'HEADRACE_REDIS': 'redis://here'" in found
    assert "'PATH'" not in found


_PRINTED = """
import os, sys
from pathlib import Path
import headrace.featurestore.feast_repo.fast_import
import feast.metrics
from headrace.deploy.settings import load_settings

assert os.environ["PROMETHEUS_MULTIPROC_DIR"]  # Feast's import has set it
made = load_settings(Path(sys.argv[1])).environment()
print(made.get("PROMETHEUS_MULTIPROC_DIR"), made.get("PROMETHEUS_MULTIPROCESS_DIR"))
"""


def test_a_child_keeps_its_counters_apart_from_those_of_who_has_imported_feast(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PRINTED, str(tmp_path)]
    done = subprocess.run(
        command, env=bare_environment(), cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["None", "None"]


def test_a_folder_for_counters_that_the_user_has_named_is_kept() -> None:
    named = {"PROMETHEUS_MULTIPROC_DIR": "counters", "PROMETHEUS_MULTIPROCESS_DIR": "counters"}
    assert environment_without_counters(named) == named
