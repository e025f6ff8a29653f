"""A real schema registry on this machine: Apicurio Registry, in memory, from the jars Maven fetches."""

from __future__ import annotations

import tarfile
import urllib.request
from pathlib import Path

from headrace.deploy.local.child import Child, free_port
from headrace.deploy.local.maven import becoming, java_program, run_maven
from headrace.deploy.local.server import LocalServer
from headrace.schemas.errors import ServiceUnavailable

REGISTRY_VERSION = "3.0.9"  # the last for Java 17
_ARTIFACT = f"io.apicurio:apicurio-registry-app:{REGISTRY_VERSION}:tar.gz:all"
_NAME = "Apicurio Registry"


def registry_jars(cache: Path | None = None) -> Path:
    """Return the folder of the registry's jars, which Maven fetches the first time.

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
            if hasattr(tarfile, "data_filter"):  # from Python 3.11.4 on
                packed.extraction_filter = tarfile.data_filter
            packed.extractall(folder / "jars")
    return jars


class RegistryServer(LocalServer):
    """A registry on a free loopback port. Its schemas are gone when it stops.

    Parameters
    ----------
    cache
        Where the jars are kept; None for ``~/.cache/headrace/registry``.
    """

    stop_s = 20.0

    def __init__(self, cache: Path | None = None) -> None:
        super().__init__("registry")
        self._cache, self._port = cache, free_port()

    @property
    def url(self) -> str:
        """URL of its Confluent interface."""
        return f"http://127.0.0.1:{self._port}/apis/ccompat/v7"

    def _prepare(self) -> Child:
        java = java_program(_NAME)
        (jar,) = registry_jars(self._cache).glob("**/*-runner.jar")
        command = [java, "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        command += ["-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={self._port}", "-jar", str(jar)]
        return Child(_NAME, command, self._directory / "registry.log")

    def _wait(self, child: Child) -> None:
        child.wait_until(self._answers, timeout_s=180)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/subjects", timeout=1) as response:
                return bool(response.status == 200)
        except OSError:
            return False
