"""A real schema registry on this machine: Apicurio Registry, which Maven fetches, in memory."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import urllib.request
from pathlib import Path
from types import TracebackType

from deploy.child import Child, free_port
from deploy.maven import becoming, java_program, run_maven
from schemas.errors import ServiceUnavailable

REGISTRY_VERSION = "3.0.9"  # the last for Java 17
_ARTIFACT = f"io.apicurio:apicurio-registry-app:{REGISTRY_VERSION}:tar.gz:all"
_NAME = "Apicurio Registry"


def registry_jars(cache: Path | None = None) -> Path:
    """Folder of the registry's jars, fetched with Maven the first time.

    Raises
    ------
    ServiceUnavailable
        When Maven is not installed or could not fetch them.
    """
    cache = cache or Path.home() / ".cache" / "headrace" / "registry"
    jars = cache / f"jars-{REGISTRY_VERSION}"
    if jars.exists():
        return jars
    with becoming(jars) as folder:
        goal = ["dependency:copy", f"-Dartifact={_ARTIFACT}", f"-DoutputDirectory={folder.resolve()}"]
        run_maven(folder, _NAME, REGISTRY_VERSION, *goal)
        archives = list(folder.glob("*.tar.gz"))
        if not archives:
            raise ServiceUnavailable(
                f"Maven fetched no archive of {_NAME} {REGISTRY_VERSION}; clear its cache"
            )
        with tarfile.open(archives[0]) as packed:
            packed.extractall(folder / "jars", filter="data")
    return jars


class RegistryServer:
    """A registry on a free loopback port; it forgets everything when it stops.

    Parameters
    ----------
    cache
        Where the jars are kept; None for ``~/.cache/headrace/registry``.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self._cache, self._port = cache, free_port()
        self._directory = Path(tempfile.mkdtemp(prefix="headrace-registry-"))
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """Of its Confluent interface."""
        return f"http://127.0.0.1:{self._port}/apis/ccompat/v7"

    def start(self) -> RegistryServer:
        """Start it and return once it answers.

        Raises
        ------
        ServiceUnavailable
            When Java or Maven is missing, or it does not come up; the message ends with its log.
        """
        java = java_program(_NAME)
        (jar,) = registry_jars(self._cache).glob("**/*-runner.jar")
        command = [java, "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        command += ["-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={self._port}", "-jar", str(jar)]
        self._child = Child(_NAME, command, self._directory / "registry.log").start()
        try:
            self._child.wait_until(self._answers, timeout_s=90)
        except ServiceUnavailable:
            self._child.kill()
            raise
        return self

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop(timeout_s=20)

    def __enter__(self) -> RegistryServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/subjects", timeout=1) as response:
                return bool(response.status == 200)
        except OSError:
            return False
