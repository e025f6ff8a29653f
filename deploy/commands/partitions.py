"""Partitions that topics have and the plan does not know, because somebody has added them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headrace.schemas.errors import PlanError
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.plan import Plan
from headrace.streams.runtime.internal_topics import event_topics, internal_topics
from headrace.streams.worker.known_partitions import known_counts

Ends = Mapping[tuple[str, int], int]  # end offset by topic and partition
_DAY_MS, _HOUR_MS, _MINUTE_MS = 86_400_000, 3_600_000, 60_000


def counts_of(ends: Ends) -> dict[str, int]:
    """Return the number of partitions by topic.

    >>> counts_of({("clicks", 0): 7, ("clicks", 1): 0, ("late", 0): 3})
    {'clicks': 2, 'late': 1}
    """
    counts: dict[str, int] = {}
    for topic, _ in ends:
        counts[topic] = counts.get(topic, 0) + 1
    return counts


def unread_records(plan: Plan, ends: Ends) -> dict[tuple[str, int], int]:
    """Return by topic and partition the records that no process of the plan reads, where there are any."""
    known = known_counts(plan, counts_of(ends))
    for router in plan.routers:
        topics = plan.topics.router(router.name)
        known |= {topics.predictions: router.partitions, topics.outcomes: router.partitions}
    return {
        (topic, partition): end
        for (topic, partition), end in sorted(ends.items())
        if end and partition >= known.get(topic, partition + 1)
    }


@dataclass(frozen=True)
class AddedPartitions:
    """Partitions that were added to an event topic after its state was made.

    Attributes
    ----------
    source
        The source.
    known, found
        Number of partitions that have a state, and that the topic has.
    records
        Records in the new ones.
    moving
        Views that read the topic directly, each with how long its longest window is, in ms; 0: for ever.
    shuffled
        Views behind the shuffle.
    """

    source: SourceSpec
    known: int
    found: int
    records: int
    moving: Mapping[str, int]
    shuffled: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """Say what was added, what it means for each view, and what to do."""
        where = f"topic '{self.source.topic}' of source '{self.source.name}'"
        yield (
            f"{where} has {self.found} partitions, and had {self.known} when its state was made: "
            f"{self.records:,} records of the new ones are not processed"
        )
        for view, longest_ms in self.moving.items():
            until = f"until {_text(longest_ms)} have passed" if longest_ms else "for ever"
            yield (
                f"view '{view}' reads the topic directly: events of a key are in another partition now than "
                f"those before. Its rows would have one part of them, {until}"
            )
        if self.shuffled:
            yield f"right in any case, behind the shuffle: {', '.join(self.shuffled)}"

    @property
    def remedy(self) -> str:
        """The way to right values."""
        return (
            f"Take the tag 'headrace.key' out of source '{self.source.name}', and 'headrace.partitions' "
            "where it is 1: its views then go through the shuffle, and are computed anew from the topic"
        )


def added_partitions(plan: Plan, ends: Ends) -> list[AddedPartitions]:
    """Return the event topics of a plan that have more partitions than their state.

    Parameters
    ----------
    ends
        Those of the event topics and their changelogs; a topic that does not exist is not in it.
    """
    counts, added = counts_of(ends), []
    known = known_counts(plan, counts)
    for source in plan.sources:
        count, found = known.get(source.topic), counts.get(source.topic, 0)
        if count is None or found <= count:
            continue
        views = plan.views_of(source.name)
        longest = {
            view.name: 0 if any(not a.window_ms for a in view.aggregations) else
            max(a.window_ms + a.hop_ms for a in view.aggregations)
            for view in views
            if plan.is_direct(view)
        }  # fmt: skip
        records = sum(ends[source.topic, number] for number in range(count, found))
        shuffled = tuple(view.name for view in views if view.name not in longest)
        added.append(AddedPartitions(source, count, found, records, longest, shuffled))
    return added


def surplus_partitions(plan: Plan, ends: Ends) -> list[str]:
    """Say which internal topics have partitions that the plan does not need."""
    counts = counts_of(ends)
    events = {name: counts.get(name, 1) for name in event_topics(plan)}
    return [
        f"topic '{spec.name}' has {counts[spec.name]} partitions, the plan needs {spec.partitions}: Headrace "
        "neither writes nor reads those beyond"
        for spec in internal_topics(plan, events)
        if counts.get(spec.name, 0) > spec.partitions
    ]


def refuse_moved_keys(plan: Plan, ends: Ends) -> None:
    """Raise when partitions were added to a topic that views of the plan read directly.

    Raises
    ------
    PlanError
        Names topic, views, what their values would be, and the remedy.
    """
    moved = [added for added in added_partitions(plan, ends) if added.moving]
    if moved:
        lines = [line for added in moved for line in (*added.lines(), added.remedy)]
        raise PlanError(
            "\n  ".join(["partitions were added; nothing was applied:", *lines])
            + "\nIf the producers keep every key in the partition that it had: headrace apply --allow-unsafe"
        )


def _text(time_ms: int) -> str:
    """A length of time in its largest whole unit.

    >>> _text(7_200_000), _text(5_400_000), _text(2500)
    ('2 h', '90 min', '2.5 s')
    """
    for unit_ms, name in ((_DAY_MS, "d"), (_HOUR_MS, "h"), (_MINUTE_MS, "min")):
        if time_ms % unit_ms == 0:
            return f"{time_ms // unit_ms} {name}"
    return f"{time_ms / 1000:g} s"
