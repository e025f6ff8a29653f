"""Java programs on this machine: found on the PATH, their jars fetched with Maven once and kept."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.schemas.errors import ServiceUnavailable


def program(name: str, what: str, needed_by: str) -> str:
    """Path of a program on the PATH; raises `ServiceUnavailable` when there is none."""
    found = shutil.which(name)
    if found is None:
        raise ServiceUnavailable(
            f"'{name}' is not on the PATH, and {needed_by} needs it; install {what}, or name a running "
            "server instead (HEADRACE_KAFKA, in tests HEADRACE_TEST_KAFKA, HEADRACE_TEST_REGISTRY)"
        )
    return found


def java_program(needed_by: str) -> str:
    """Path of Java; see `program`."""
    return program("java", "Java 17 or newer (Debian: apt-get install default-jre-headless)", needed_by)


@contextmanager
def becoming(jars: Path) -> Iterator[Path]:
    """A folder to fetch into, whose ``jars`` becomes this one, complete or not at all."""
    jars.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix="fetch-") as folder:
        yield Path(folder)
        try:
            (Path(folder) / "jars").rename(jars)
        except OSError:
            if not jars.exists():  # else another process was quicker, with the same result
                raise


def run_maven(folder: Path, name: str, version: str, *goal: str) -> None:
    """Have Maven fetch `name` in a folder.

    Raises
    ------
    ServiceUnavailable
        When Maven is not installed or could not.
    """
    maven = program("mvn", "Maven (Debian: apt-get install maven)", name)
    done = subprocess.run([maven, "-B", "-q", *goal], cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise ServiceUnavailable(
            f"Maven could not fetch {name} {version}:\n{(done.stdout + done.stderr)[-2000:]}\n"
            "See whether this machine reaches a Maven repository, or point to a running server"
        )
