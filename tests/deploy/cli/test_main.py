from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT


def headrace(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headrace", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def refused(*words: str) -> str:
    """The one message of a command that fails in a known way."""
    done = headrace(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("headrace: ")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_command_without_redis_says_where_it_looked(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_REDIS", f"redis://user:secret@127.0.0.1:{free_port}/0")
    message = refused("worker", "tests/support/clicks")
    assert f"127.0.0.1:{free_port}" in message
    assert "HEADRACE_REDIS" in message
    assert "secret" not in message


def test_a_project_that_was_never_applied_is_told_how(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_REDIS", redis_url)
    monkeypatch.setenv("HEADRACE_PROJECT", "never-applied")
    assert "run `headrace apply`" in refused("train", "tests/support/clicks")


def test_arguments_that_mean_nothing_are_refused_with_what_is_meant(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_REDIS", redis_url)
    assert "features, examples, models, serve" in refused("wait", "clicks", "--stage", "tomorrow")
    assert "headrace wait clicks --stage serve" in refused("wait", "clicks", "--until", "serve")
    assert "worker, join, train" in refused("healthy", "serve", "tests/support/clicks")
    assert "'nowhere' is no directory" in refused("apply", "nowhere")
