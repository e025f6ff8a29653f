"""Java programs on this machine: finds Java on the PATH, and has Maven fetch jars once."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.deploy.local.environment import environment_without_settings
from headrace.schemas.errors import ServiceUnavailable


def program(name: str, what: str, needed_by: str) -> str:
    """Return the path of a program. Raises `ServiceUnavailable` when it is not on the PATH."""
    path = shutil.which(name)
    if path is None:
        raise ServiceUnavailable(
            f"'{name}' is not on the PATH, and {needed_by} needs it; install {what}, or name a running "
            "server instead (HEADRACE_KAFKA, in tests HEADRACE_TEST_KAFKA, HEADRACE_TEST_REGISTRY)"
        )
    return path


def java_program(needed_by: str) -> str:
    """Return the path of Java; see `program`."""
    return program("java", "Java 17 or newer (Debian: apt-get install default-jre-headless)", needed_by)


@contextmanager
def becoming(jars: Path) -> Iterator[Path]:
    """Give a folder to fetch into. At the end its ``jars`` is renamed to `jars`, complete or not at all."""
    jars.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix="fetch-") as folder:
        yield Path(folder)
        try:
            (Path(folder) / "jars").rename(jars)
        except OSError:
            if not jars.exists():  # else another process was quicker, with the same result
                raise


def run_maven(folder: Path, name: str, version: str, *goal: str) -> None:
    """Run a goal of Maven in a folder; `name` and `version` say in errors what it fetches.

    Raises
    ------
    ServiceUnavailable
        When Maven is not installed, or could not fetch it.
    """
    maven = program("mvn", "Maven (Debian: apt-get install maven)", name)
    # Maven's settings may name variables of the user's, so it gets these; but it runs what it fetches.
    done = subprocess.run(
        [maven, "-B", "-q", *goal],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment_without_settings(),
    )
    if done.returncode != 0:
        raise ServiceUnavailable(
            f"Maven could not fetch {name} {version}:\n{(done.stdout + done.stderr)[-2000:]}\n"
            "See whether this machine reaches a Maven repository, or point to a running server"
        )
