"""A server of others on loopback ports: a child process that is waited for until it answers."""

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
        What its temporary directory is called by.
    directory
        Where its files are; None for a temporary directory, removed at the end of the block.
    """

    stop_s: ClassVar[float] = 15.0  # after which it is killed

    def __init__(self, kind: str, directory: Path | None = None) -> None:
        self._own = directory is None
        self._directory = directory or Path(tempfile.mkdtemp(prefix=f"headrace-{kind}-"))
        self._child: Child | None = None

    @abstractmethod
    def _prepare(self) -> Child:
        """The process, ready to be started."""

    @abstractmethod
    def _wait(self, child: Child) -> None:
        """Until it answers; `ServiceUnavailable` when it does not."""

    def start(self) -> Self:
        """Start it and return once it answers.

        Raises
        ------
        ServiceUnavailable
            When its program cannot be had, or it does not come up; the message ends with its log.
        """
        self._child = self._prepare().start()
        try:
            self._wait(self._child)
        except ServiceUnavailable:
            self._child.kill()
            raise
        return self

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop(self.stop_s)

    def kill(self) -> None:
        """As kill -9 does."""
        if self._child is not None:
            self._child.kill()

    def restart(self) -> Self:
        """Stop it, unless it is down already, and start it again on the same ports and files."""
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
