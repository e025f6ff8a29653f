"""A third-party server on loopback ports: a child process, ready when it answers."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from headrace.deploy.local.child import Child
from headrace.schemas.errors import ServiceUnavailable


class LocalServer(ABC):
    """A server that runs between `start` and `stop`, or while a block does.

    Parameters
    ----------
    kind
        Part of the name of its temporary directory.
    directory
        For its files; None for a temporary directory, removed at the end of the block.
    """

    stop_s: ClassVar[float] = 15.0  # after which it is killed

    def __init__(self, kind: str, directory: Path | None = None) -> None:
        self._own = directory is None
        self._directory = directory or Path(tempfile.mkdtemp(prefix=f"headrace-{kind}-"))
        self._child: Child | None = None

    @abstractmethod
    def _prepare(self) -> Child:
        """Return the process, ready to be started."""

    @abstractmethod
    def _wait(self, child: Child) -> None:
        """Wait until it answers. Raises `ServiceUnavailable` when it does not."""

    def start(self) -> Self:
        """Start the server, and return once it answers.

        Raises
        ------
        ServiceUnavailable
            When its program is not there, or the server does not answer. The message ends with its log.
        """
        self._child = self._prepare().start()
        try:
            self._wait(self._child)
        except ServiceUnavailable:
            self._child.kill()
            raise
        return self

    def stop(self) -> None:
        """Stop the server; kill it after `stop_s` seconds."""
        if self._child is not None:
            self._child.stop(self.stop_s)

    def kill(self) -> None:
        """Kill the server, as kill -9 does."""
        if self._child is not None:
            self._child.kill()

    def restart(self) -> Self:
        """Stop the server, unless it is down, and start it again on the same ports and files."""
        self.stop()
        return self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._own:
            shutil.rmtree(self._directory, ignore_errors=True)
