"""How far the restore of a partition is."""

from __future__ import annotations

from concurrent.futures import CancelledError
from dataclasses import dataclass


@dataclass
class Restoring:
    """How far the changelog of a partition has been read: offsets of the next record and of the end."""

    next_offset: int = 0
    end: int | None = None  # None: not known yet
    abandoned: bool = False  # nobody waits for it any more

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return 0.0 if self.end is None else min(1.0, self.next_offset / self.end) if self.end else 1.0

    def check(self) -> None:
        """End a thread that reads for nobody.

        Raises
        ------
        CancelledError
            When it has been abandoned.
        """
        if self.abandoned:
            raise CancelledError
