"""Progress of the restore of a partition."""

from __future__ import annotations

from concurrent.futures import CancelledError
from dataclasses import dataclass


@dataclass
class Restoring:
    """How far the changelog of a partition has been read.

    Attributes
    ----------
    next_offset
        Next record to read.
    end
        End of the changelog; None while that is not known.
    abandoned
        Whether nobody waits for the restore any more.

    Examples
    --------
    >>> Restoring(25, 100).share
    0.25
    """

    next_offset: int = 0
    end: int | None = None
    abandoned: bool = False

    @property
    def share(self) -> float:
        """Share of the changelog that has been read, from 0 to 1."""
        return 0.0 if self.end is None else min(1.0, self.next_offset / self.end) if self.end else 1.0

    def check(self) -> None:
        """End the thread that reads, if nobody waits for the restore any more.

        Raises
        ------
        CancelledError
            When the restore has been abandoned.
        """
        if self.abandoned:
            raise CancelledError
