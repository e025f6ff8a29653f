"""Children started in order, watched together, and stopped in the reverse order."""

from __future__ import annotations

import threading
from collections.abc import Callable

from deploy.child import Child

_WATCH_S = 0.2
_READY_S = 300.0


class Supervisor:
    """Keeps a set of child processes: all of them, or none."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def start(self, child: Child, ready: Callable[[], bool] | None = None) -> None:
        """Start a child and wait until it is ready.

        Raises
        ------
        ServiceUnavailable
            When it, or another child meanwhile, ends, or it is not ready in time.
        """
        self.adopt(child.start())
        if ready is not None:
            self.wait_until(child, ready)

    def adopt(self, child: Child) -> None:
        """Watch, and stop in its turn, a child that runs already."""
        self._children.append(child)

    def wait_until(self, child: Child, ready: Callable[[], bool]) -> None:
        """Wait until `ready` says so, as long as every child runs."""

        def all_run_and_ready() -> bool:
            self.check()
            return ready()

        child.wait_until(all_run_and_ready, _READY_S)

    def check(self) -> None:
        """See that every child runs.

        Raises
        ------
        ServiceUnavailable
            Names the one that ended, its exit code and the end of its log.
        """
        for child in self._children:
            child.check()

    def watch(self, until: threading.Event | None = None) -> None:
        """Block until `until` is set.

        Raises
        ------
        ServiceUnavailable
            As soon as a child ends.
        """
        until = until or threading.Event()
        while not until.wait(_WATCH_S):
            self.check()

    def stop(self) -> None:
        """Stop all of them, the last started first, each given time to finish its work."""
        while self._children:
            self._children[-1].stop()
            self._children.pop()
