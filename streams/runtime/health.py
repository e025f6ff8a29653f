"""Health of a process at one moment: what it owns, how far that is, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.streams.runtime.restoring import Restoring

Where = tuple[str, int]  # topic and partition


@dataclass(frozen=True)
class PartitionHealth:
    """One partition that a process owns.

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
        Ranges processed since the partition was assigned.
    overflowing_sums
        How many sums do not fit the type of their feature; None where there are no sums.
    expectations
        How many records were ``checked``, and how many failed each rule.
    """

    topic: str
    partition: int
    position: int | None = None
    restoring: Restoring = field(default_factory=Restoring)
    clock_ms: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    keys: int | None = None
    ranges: int = 0
    overflowing_sums: int | None = None
    expectations: Mapping[str, int] = field(default_factory=dict)

    @property
    def where(self) -> Where:
        """Topic and partition."""
        return self.topic, self.partition


@dataclass(frozen=True)
class Sample:
    """A value of a metric that not every process has.

    Attributes
    ----------
    name
        Of the metric, without ``headrace_`` in front.
    meaning
        Help text of the metric.
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
class PlanHealth:
    """The plan of a process.

    Attributes
    ----------
    plan
        Its hash.
    replaced_by
        Hash of the plan in force, when that is another one.

    Examples
    --------
    >>> PlanHealth("5e884898da28").describe()
    'plan 5e884898da28'
    """

    plan: str
    replaced_by: str | None = None

    def describe(self) -> str:
        """Say which plan it is, and whether it is in force."""
        if self.replaced_by is None:
            return f"plan {self.plan[:12]}"
        return (
            f"plan {self.plan[:12]} is not in force any more, {self.replaced_by[:12]} is: start this process "
            "anew"
        )


@dataclass(frozen=True)
class ProcessHealth:
    """A process at one moment.

    Attributes
    ----------
    partitions
        Those that it owns.
    assigned
        Whether it has had an assignment.
    checkpoint_age_s
        Time since a checkpoint ended, or since the start; one without anything to do counts.
    waiting_for
        The service that is away and waited for: ``redis`` or ``schema registry``.
    samples
        Metrics that only this kind of process has.
    unread
        Partitions that the group has given to this process, and that it does not know how to process.
    rows
        View to how many of its rows were ``checked`` as they were written, and how many failed each rule.
    is_standby
        Whether another process has what this one would take over.
    plan
        Its plan.
    """

    partitions: tuple[PartitionHealth, ...]
    assigned: bool
    checkpoint_age_s: float
    waiting_for: str | None = None
    samples: tuple[Sample, ...] = ()
    rows: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    is_standby: bool = False
    unread: tuple[Where, ...] = ()
    plan: PlanHealth = field(kw_only=True)

    @property
    def ready(self) -> bool:
        """Whether every partition that the process owns is restored."""
        return self.assigned and all(one.position is not None for one in self.partitions)
