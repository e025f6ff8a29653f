"""The vital signs of a process, and what they say: whether it makes progress or stands still."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.streams.runtime.restoring import Restoring

Where = tuple[str, int]  # topic and partition


@dataclass(frozen=True)
class PartitionVitals:
    """One partition a process has.

    Attributes
    ----------
    position
        Next offset to process; None while the state is restored.
    restoring
        How far the changelog has been read.
    clock_ms
        Event time that was reached, epoch milliseconds; None before the first record.
    counts
        What became of the records of an event topic's partition: applied, late, dead, marks.
    keys
        Keys held; None where that says nothing.
    ranges
        Ranges processed since the partition came here.
    unfit_sums
        How many sums do not fit the type of their feature; None where there are no sums.
    expectations
        Of the records: how many were ``checked``, and how many failed each rule.
    """

    topic: str
    partition: int
    position: int | None = None
    restoring: Restoring = field(default_factory=Restoring)
    clock_ms: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    keys: int | None = None
    ranges: int = 0
    unfit_sums: int | None = None
    expectations: Mapping[str, int] = field(default_factory=dict)

    @property
    def where(self) -> Where:
        return self.topic, self.partition


@dataclass(frozen=True)
class Sample:
    """A value of a metric that not every process has.

    Attributes
    ----------
    name
        Of the metric, without ``headrace_`` in front.
    meaning
        What it says.
    labels, value
        One of its values.
    grows
        Whether it only ever grows: a counter.
    """

    name: str
    meaning: str
    labels: Mapping[str, str]
    value: float
    grows: bool = False


@dataclass(frozen=True)
class Vitals:
    """A process at one moment.

    Attributes
    ----------
    partitions
        Those it has.
    assigned
        Whether it has been told which ones it has.
    checkpoint_age_s
        Time since a checkpoint ended, or since the start; one that finds nothing to do counts.
    waiting_for
        What is away and waited for: Redis or the schema registry.
    samples
        What else there is to say.
    rows
        View to how many of its rows were ``checked`` as they were written, and how many failed each rule.
    """

    partitions: tuple[PartitionVitals, ...]
    assigned: bool
    checkpoint_age_s: float
    waiting_for: str | None = None
    samples: tuple[Sample, ...] = ()
    rows: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether every partition it has is restored."""
        return self.assigned and all(one.position is not None for one in self.partitions)


class Watch:
    """Finds what stands still although there is something to do.

    Waiting for Redis or for the schema registry is no standstill: another process would wait, too.

    Parameters
    ----------
    stuck_s
        How long is too long.
    """

    def __init__(self, stuck_s: float) -> None:
        self._stuck_s = stuck_s
        self._moved: dict[Where, tuple[tuple[int | None, int], float]] = {}
        self._waited_s = -math.inf  # when the process was last seen waiting

    def standing(self, now_s: float, vitals: Vitals, ends: Mapping[Where, int]) -> list[PartitionVitals]:
        """Partitions that have not moved for too long: neither restored nor processed anything.

        Parameters
        ----------
        now_s
            A monotonic clock.
        ends
            Ends of the topics; a partition that is not in it is taken to have nothing to do.
        """
        if vitals.waiting_for is not None:
            self._waited_s = now_s
        before, self._moved = self._moved, {}
        found = []
        for one in vitals.partitions:
            mark = (one.position, one.restoring.next_offset)
            busy = one.position is None or ends.get(one.where, 0) > one.position
            known = before.get(one.where)
            moved_s = known[1] if known and known[0] == mark and busy and not vitals.waiting_for else now_s
            self._moved[one.where] = (mark, moved_s)
            if now_s - moved_s >= self._stuck_s:
                found.append(one)
        return found

    def is_alive(self, now_s: float, vitals: Vitals) -> bool:
        """Whether a checkpoint ended not too long ago, or could not for a reason outside the process.

        What was waited for may be back before a checkpoint has ended: that has its time from then on.
        """
        if vitals.waiting_for is not None:
            return True
        return min(vitals.checkpoint_age_s, now_s - self._waited_s) < self._stuck_s
