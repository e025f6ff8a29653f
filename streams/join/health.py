"""Health of a join: how far its inputs are, and what became of predictions and outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict

from headrace.schemas.topics import RouterTopics
from headrace.streams.join.outcome_intake import OutcomeIntake
from headrace.streams.join.outcome_intakes import OutcomeIntakes
from headrace.streams.join.owned_partition import OwnedPartition
from headrace.streams.join.state import INPUTS, Counts
from headrace.streams.runtime.assignment import Assigned
from headrace.streams.runtime.health import PartitionHealth, Sample, Where
from headrace.streams.runtime.restoring import Restoring

_PREDICTIONS = ("matched", "pending", "negative", "censored")
_OUTCOMES = ("applied", "duplicate", "parked", "orphan", "late", "over_quota")
_REFUSED = {
    "prediction_duplicates": "duplicate",
    "prediction_late": "late",
    "prediction_over_quota": "over_quota",
    "malformed": "malformed",
}

Joins = Iterable[tuple[Where, Assigned[OwnedPartition]]]  # router and partition


def input_health(project: str, joins: Joins) -> Iterator[PartitionHealth]:
    """Every partition of the predictions and outcomes topics."""
    for (router, partition), assigned in joins:
        owned = assigned.restored
        for source in INPUTS:
            where = RouterTopics(project, router).input(source), partition
            if owned is None:
                yield PartitionHealth(*where, restoring=assigned.restoring)
            else:
                offset, clock_ms = owned.visible_offset(source), owned.committed.clocks[source]
                yield PartitionHealth(
                    *where, offset, assigned.restoring, clock_ms, ranges=owned.ranges[source]
                )


def event_health(intakes: OutcomeIntakes) -> Iterator[PartitionHealth]:
    """Every partition of the event topics that labels are taken from."""
    for where, ranges in sorted(intakes.ranges.items()):
        readers = [intake.reader(where[1]) for intake in intakes.restored(where[0])]
        if not readers:
            yield PartitionHealth(*where)
            continue
        behind = min(readers, key=lambda reader: reader.next_offset)
        yield PartitionHealth(*where, behind.next_offset, Restoring(0, 0), behind.clock_ms, ranges=ranges)


def join_samples(joins: Joins) -> Iterator[Sample]:
    """What became of predictions and outcomes."""
    for (router, partition), assigned in joins:
        if (owned := assigned.restored) is not None:
            yield from _of_join(router, partition, owned.committed.counts)


def label_samples(intakes: OutcomeIntakes) -> Iterator[Sample]:
    """What became of the records that labels are taken from."""
    for topic, partition in sorted(intakes.ranges):
        for intake in intakes.restored(topic):
            yield from _of_intake(intake, partition)


def _of_join(router: str, partition: int, counts: Counts) -> Iterator[Sample]:
    place, values = {"router": router, "partition": str(partition)}, asdict(counts)
    for status in _PREDICTIONS:
        labels = {**place, "fate": status}
        yield Sample("join_predictions", "What became of predictions", labels, values[status])
    for status in _OUTCOMES:
        labels = {**place, "fate": status}
        yield Sample("join_outcomes", "What became of outcomes", labels, values[status])
    for name, reason in _REFUSED.items():
        meaning = "Predictions that are copies, late or above a quota, and records that could not be read"
        yield Sample("join_refused", meaning, {**place, "reason": reason}, values[name], grows=True)
    meaning = "Examples given out, corrections too"
    yield Sample("join_examples", meaning, place, values["examples"], grows=True)


def _of_intake(intake: OutcomeIntake, partition: int) -> Iterator[Sample]:
    place = {"router": intake.router.name, "topic": intake.source.topic, "partition": str(partition)}
    for fate, count in asdict(intake.reader(partition).counts).items():
        labels = {**place, "fate": fate}
        yield Sample(
            "join_labels", "What became of the records labels are taken from", labels, count, grows=True
        )
