"""What is looked at again and again while processes run."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import ClassVar, Self


class Watching(ABC):
    """Looks in a thread of its own, within its block."""

    pause_s: ClassVar[float] = 0.02
    away: ClassVar[tuple[type[Exception], ...]] = ()
    """Errors of what is away for a moment: that is the test's doing."""
    looks_last: ClassVar[bool] = False
    """Whether to look once more when the block ends."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @abstractmethod
    def look(self) -> None:
        """Look once, and compare with what was there before."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        if self.looks_last:
            self.look()

    def _watch(self) -> None:
        while not self._stopping.wait(self.pause_s):
            try:
                self.look()
            except self.away:
                continue
