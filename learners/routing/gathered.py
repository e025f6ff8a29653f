"""Evidence as it is gathered from the partitions of a closings topic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

from headrace.learners.routing.posteriors import Evidence
from headrace.learners.routing.stored_epochs import StoredPartition

Gathered = dict[str, Evidence]


@dataclass
class GatheringPartition:
    """One partition of the closings topic.

    Attributes
    ----------
    offset
        Next offset to read.
    refresh
        The refresh that the clock has reached: event time // `refresh_ms`; None before the first record.
    ended
        Offset where the last refresh ended that has become evidence.
    gathered
        Evidence by arm of the current refresh.
    closed
        A refresh that is over to the offset where it ended, and its evidence by arm.
    """

    offset: int = 0
    refresh: int | None = None
    ended: int = 0
    gathered: Gathered = field(default_factory=dict)
    closed: dict[int, tuple[int, Gathered]] = field(default_factory=dict)

    def advance(self, offset: int, refresh: int) -> None:
        """Move the clock forward, and close the refresh that it leaves."""
        if self.refresh is not None and refresh > self.refresh:
            self.closed[self.refresh] = (offset, self.gathered)
            self.gathered = {}
        self.refresh = refresh if self.refresh is None else max(refresh, self.refresh)

    def pop(self, refresh: int) -> Gathered:
        """Take the evidence of a refresh that is over; empty where nothing came in it."""
        self.ended, gathered = self.closed.pop(refresh, (self.ended, {}))
        return gathered

    def dump(self) -> dict[str, Any]:
        """Return the partition as JSON has it; see `StoredPartition`."""
        closed = [[refresh, end, dump(gathered)] for refresh, (end, gathered) in self.closed.items()]
        return {
            "offset": self.offset,
            "refresh": self.refresh,
            "ended": self.ended,
            "gathered": dump(self.gathered),
            "closed": closed,
        }

    @classmethod
    def load(cls, stored: StoredPartition) -> GatheringPartition:
        """Return the partition that was dumped."""
        closed = {refresh: (end, load(gathered)) for refresh, end, gathered in stored.closed}
        return cls(stored.offset, stored.refresh, stored.ended, load(stored.gathered), closed)


def dump(evidence: Mapping[str, Evidence]) -> dict[str, Any]:
    """Encode count, total and squares by arm.

    >>> dump({"tree": Evidence(10.0, 8.0, 7.5)})
    {'tree': (10.0, 8.0, 7.5)}
    """
    return {arm: astuple(statistics) for arm, statistics in evidence.items()}


def load(raw: Mapping[str, tuple[float, float, float]]) -> Gathered:
    """Return the evidence that was dumped."""
    return {arm: Evidence(*statistics) for arm, statistics in raw.items()}
