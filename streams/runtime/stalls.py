"""Finds stalls: partitions with records to process, and processes without checkpoints, that make no progress.

Waiting for Redis or for the schema registry is no stall: another process would wait, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from headrace.streams.runtime.health import PartitionHealth, ProcessHealth, Where


class StallDetector:
    """Compares the health of a process from one look to the next.

    Parameters
    ----------
    stuck_s
        How long without progress is a stall.
    """

    def __init__(self, stuck_s: float) -> None:
        self._stuck_s = stuck_s
        self._moved: dict[Where, tuple[tuple[int | None, int], float]] = {}
        self._waited_s = -math.inf  # when the process was last seen waiting

    def stalled(
        self, now_s: float, health: ProcessHealth, ends: Mapping[Where, int]
    ) -> list[PartitionHealth]:
        """Return partitions that have neither been restored further nor processed anything for `stuck_s`.

        Parameters
        ----------
        now_s
            A monotonic clock.
        ends
            Ends of the topics; a partition that is not in it is taken to have nothing to do.
        """
        if health.waiting_for is not None:
            self._waited_s = now_s
        before, self._moved = self._moved, {}
        stalled = []
        for partition in health.partitions:
            reached = partition.position, partition.restoring.next_offset
            last, last_moved_s = before.get(partition.where, (None, now_s))
            has_work = partition.position is None or ends.get(partition.where, 0) > partition.position
            stands = last == reached and has_work and health.waiting_for is None
            moved_s = last_moved_s if stands else now_s
            self._moved[partition.where] = (reached, moved_s)
            if now_s - moved_s >= self._stuck_s:
                stalled.append(partition)
        return stalled

    def is_alive(self, now_s: float, health: ProcessHealth) -> bool:
        """Whether a checkpoint ended less than `stuck_s` ago, or could not for a reason outside the process.

        A service that was waited for may be back before a checkpoint has ended: that has its time from then.
        """
        if health.waiting_for is not None:
            return True
        return min(health.checkpoint_age_s, now_s - self._waited_s) < self._stuck_s
