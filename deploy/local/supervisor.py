"""Child processes: started in order, alone or together, watched, and stopped in the reverse order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from headrace.deploy.local.child import Child

_WATCH_S = 0.2
_READY_S = 300.0


class Supervisor:
    """Keeps a set of child processes running: all of them, or none.

    Parameters
    ----------
    renew
        Called with a child that has ended. Returns whether it was to end, and is started again, or left out
        with `leave`.
    """

    def __init__(self, renew: Callable[[Child], bool] = lambda child: False) -> None:
        self._groups: list[list[Child]] = []
        self._renew = renew

    def start(self, child: Child, ready: Callable[[], bool] | None = None) -> None:
        """Start a child and wait until it is ready.

        Raises
        ------
        ServiceUnavailable
            When any child ends meanwhile, or this one is not ready in time.
        """
        self.adopt(child.start())
        if ready is not None:
            self.wait_until(child, ready)

    def start_together(self, children: Iterable[Child]) -> None:
        """Start children that do not wait for each other. They are stopped together, too."""
        self._groups.append([])
        for child in children:
            self._groups[-1].append(child.start())

    def adopt(self, child: Child) -> None:
        """Add a child that runs already."""
        self._groups.append([child])

    def leave(self, child: Child) -> None:
        """Take out a child that has ended."""
        for group in self._groups:
            if child in group:
                group.remove(child)

    def wait_until(self, child: Child, ready: Callable[[], bool]) -> None:
        """Wait until `ready` returns True. Raises as `start` does."""

        def all_run_and_ready() -> bool:
            self.check()
            return ready()

        child.wait_until(all_run_and_ready, _READY_S)

    def check(self) -> None:
        """Check that every child runs.

        Raises
        ------
        ServiceUnavailable
            When one has ended; with its name, its exit code and the end of its log.
        """
        for child in [child for group in self._groups for child in group]:
            if child.exit_code is None or not self._renew(child):
                child.check()

    def watch(self, until: threading.Event | None = None, look: Callable[[], None] = lambda: None) -> None:
        """Block until `until` is set; call `look` now and then.

        Raises
        ------
        ServiceUnavailable
            As soon as a child ends.
        """
        until = until or threading.Event()
        while not until.wait(_WATCH_S):
            self.check()
            look()

    def stop(self) -> None:
        """Stop all children, the last started first, each with time to finish its work."""
        while self._groups:
            for child in self._groups[-1]:
                child.terminate()
            for child in self._groups[-1]:
                child.stop()
            self._groups.pop()
