"""Processes of one kind, of which so many run: who has died is replaced, who was paused is woken in time."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable
from typing import NamedTuple

from tests.support.nursery import Forked


class Ended(NamedTuple):
    """A process that nobody killed."""

    pid: int
    exit_code: int | None


class Crew:
    """So many processes of one kind, as an orchestrator keeps them.

    Parameters
    ----------
    name
        Of the kind.
    size
        How many are to run.
    start
        Starts one.
    """

    def __init__(self, name: str, size: int, start: Callable[[], Forked]) -> None:
        self.name, self._size, self._start = name, size, start
        self._running: list[Forked] = []
        self._killed: set[int] = set()
        self._wakers: list[threading.Timer] = []
        self.ended: list[Ended] = []

    def keep(self) -> None:
        """Start as many as are missing."""
        for process in self._running:
            if process.poll() is not None and process.pid not in self._killed:
                self.ended.append(Ended(process.pid, process.returncode))
        self._running = [process for process in self._running if process.poll() is None]
        while len(self._running) < self._size:
            self._running.append(self._start())

    def kill_one(self, rng: random.Random) -> None:
        """As kill -9 does, whether it runs or is paused."""
        victim = rng.choice(self._running)
        self._killed.add(victim.pid)
        victim.kill()
        victim.wait()

    def pause_one(self, rng: random.Random, longest_s: float) -> None:
        """Stop one that runs, and wake it after a second or more, while other things go on."""
        victim = rng.choice(self._running)
        victim.pause()
        waker = threading.Timer(rng.uniform(1, longest_s), victim.wake)
        waker.start()
        self._wakers.append(waker)

    def wake_all(self) -> None:
        """Wait until nobody is paused any more."""
        for waker in self._wakers:
            waker.join()
        self._wakers.clear()

    def tell(self) -> None:
        """Have each write into its log what it is doing."""
        for process in self._running:
            process.send_signal(signal.SIGUSR1)

    def stop(self) -> None:
        for waker in self._wakers:
            waker.cancel()
        for process in self._running:
            process.kill()
            process.wait()
