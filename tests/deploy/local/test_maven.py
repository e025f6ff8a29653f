"""Jars are fetched once, complete or not at all; what is missing is named with what to install."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from headrace.deploy.local.maven import becoming, java_program, run_maven
from headrace.schemas.errors import ServiceUnavailable


def install(folder: Path, name: str, script: str) -> None:
    """A program of that name, alone on the PATH."""
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_java_is_found_on_the_path_or_named(path: Path) -> None:
    with pytest.raises(ServiceUnavailable, match=r"'java' is not on the PATH, and a test needs it; install"):
        java_program("a test")
    install(path, "java", "exit 0")
    assert java_program("a test") == str(path / "java")


def test_maven_runs_its_goal_in_the_folder(path: Path, tmp_path: Path) -> None:
    install(path, "mvn", 'echo "$@" > goal')
    run_maven(tmp_path, "a server", "1.2", "dependency:copy", "-Dartifact=x")
    assert (tmp_path / "goal").read_text() == "-B -q dependency:copy -Dartifact=x\n"


def test_what_maven_says_is_in_the_error(path: Path, tmp_path: Path) -> None:
    install(path, "mvn", "echo the repository is away >&2; exit 1")
    with pytest.raises(ServiceUnavailable, match=r"could not fetch a server 1\.2:\nthe repository is away"):
        run_maven(tmp_path, "a server", "1.2", "dependency:copy")


def fetch_a_part(jars: Path) -> None:
    with becoming(jars) as folder:
        (folder / "jars").mkdir()
        (folder / "jars" / "half.jar").touch()
        raise RuntimeError("interrupted")


def test_a_folder_appears_complete_or_not_at_all(tmp_path: Path) -> None:
    jars = tmp_path / "cache" / "jars-1"
    with pytest.raises(RuntimeError, match="interrupted"):
        fetch_a_part(jars)
    assert not jars.exists()
    with becoming(jars) as folder:
        (folder / "jars").mkdir()
        (folder / "jars" / "whole.jar").touch()
    assert [file.name for file in jars.iterdir()] == ["whole.jar"]
    assert [file.name for file in jars.parent.iterdir()] == ["jars-1"]


def test_of_two_that_fetch_at_the_same_time_the_first_one_counts(tmp_path: Path) -> None:
    jars = tmp_path / "jars-1"
    with becoming(jars) as folder:
        (folder / "jars").mkdir()
        (folder / "jars" / "late.jar").touch()
        jars.mkdir()
        (jars / "early.jar").touch()
    assert [file.name for file in jars.iterdir()] == ["early.jar"]
