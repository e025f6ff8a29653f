"""CPU time and memory of a process and its descendants over wall-clock time, from /proc."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_EVERY_S = 0.1


class Usage:
    """Samples processes and their descendants until `stop`."""

    def __init__(self, roots: Iterable[int]) -> None:
        self._roots = set(roots)
        self._at: list[float] = []
        self._cpu_s: list[float] = []
        self._memory: list[int] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()

    def cpu_s(self, start: float, end: float) -> float:
        """CPU seconds used between two points of `time.time()`, between samples by interpolation."""
        used = np.interp([start, end], self._at, self._cpu_s)
        return float(used[1] - used[0])

    @property
    def peak_bytes(self) -> int:
        """The greatest resident set of all processes together."""
        return max(self._memory, default=0)

    def _sample(self) -> None:
        while not self._done.wait(_EVERY_S if self._at else 0):
            cpu_s, memory = usage_of(self._roots)
            # What a process used is gone with it, unless its parent has waited for it.
            self._at.append(time.time())
            self._cpu_s.append(max(cpu_s, self._cpu_s[-1] if self._cpu_s else 0.0))
            self._memory.append(memory)


def usage_of(roots: Iterable[int]) -> tuple[float, int]:
    """CPU seconds and resident bytes of processes and their descendants, now."""
    stats = _all_stats()
    wanted, ticks, pages = set(roots), 0, 0
    while found := {pid for pid, stat in stats.items() if int(stat[1]) in wanted} - wanted:
        wanted |= found
    for pid in wanted & stats.keys():
        ticks += sum(map(int, stats[pid][11:15]))  # utime stime cutime cstime
        pages += int(stats[pid][21])
    return ticks * _TICK_S, pages * _PAGE


def _all_stats() -> dict[int, list[str]]:
    """Per process the fields of its `stat` from the third, its state, on."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def wait_until(ready: Callable[[], bool], timeout_s: float, what: str, check: Callable[[], object]) -> None:
    """Ask `ready` every 20 ms; `check` raises when there is nothing left to wait for."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not finished after {timeout_s:g} s")
        time.sleep(0.02)
