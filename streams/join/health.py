"""The vital signs of a join: how far its inputs are, and what became of predictions and outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict

from headrace.schemas import topics
from headrace.streams.join.checkpoint import Cut, JoinPartition
from headrace.streams.join.outcome_intake import OutcomeIntake
from headrace.streams.join.state import INPUTS, Counts, Position
from headrace.streams.runtime.health import PartitionVitals, Sample, Where
from headrace.streams.runtime.restoring import Restoring

_PREDICTIONS = ("matched", "pending", "negative", "censored")
_OUTCOMES = ("applied", "duplicate", "parked", "orphan", "late")
_REFUSED = {"prediction_duplicates": "duplicate", "prediction_late": "late", "malformed": "malformed"}

Restored = Mapping[Where, JoinPartition | None]  # router and partition; None while it is restored


class JoinStanding:
    """How far a join is, since its partitions were assigned.

    Attributes
    ----------
    restoring
        How far each partition of a router is restored.
    ranges
        How many ranges of each input were taken in.
    events
        The partitions of event topics that were assigned.
    """

    def __init__(self, project: str) -> None:
        self._project = project
        self._written: dict[Where, Position] = {}
        self.restoring: dict[Where, Restoring] = {}
        self.ranges: Counter[Where] = Counter()
        self.events: set[Where] = set()

    def write(self, cuts: Iterable[Cut]) -> None:
        """What follows from these is in the outputs now."""
        self._written |= {(cut.of.router.name, cut.of.partition): cut.position for cut in cuts}

    def partitions(self, restored: Restored, intakes: Sequence[OutcomeIntake]) -> Iterator[PartitionVitals]:
        """Every partition of every input; `intakes` are those that are restored."""
        for (router, partition), part in restored.items():
            restoring = self.restoring.get((router, partition)) or Restoring()
            position = self._position(part) if part is not None else None
            for source in INPUTS:
                name = topics.predictions if source == "predictions" else topics.outcomes
                where = name(self._project, router), partition
                if position is None:
                    yield PartitionVitals(*where, restoring=restoring)
                else:
                    offset, clock_ms = position.next_offsets[source], position.clocks[source]
                    yield PartitionVitals(*where, offset, restoring, clock_ms, ranges=self.ranges[where])
        for where in sorted(self.events):
            yield self._of_events(where, [one for one in intakes if one.source.topic == where[0]])

    def samples(self, restored: Restored, intakes: Sequence[OutcomeIntake]) -> Iterator[Sample]:
        """What became of predictions, outcomes and labels."""
        for (router, partition), part in restored.items():
            if part is not None:
                yield from _of_join(router, partition, self._position(part).counts)
        for topic, partition in sorted(self.events):
            for intake in intakes:
                if intake.source.topic == topic:
                    yield from _of_intake(intake, partition)

    def _position(self, part: JoinPartition) -> Position:
        """Up to where what follows is in the outputs; while a replay holds it back, how far that is."""
        written = self._written.get((part.router.name, part.partition))
        return part.join.position(part.ends) if written is None or part.join.replaying else written

    def _of_events(self, where: Where, intakes: Sequence[OutcomeIntake]) -> PartitionVitals:
        readers = [intake.reader(where[1]) for intake in intakes]
        if not readers:
            return PartitionVitals(*where)
        behind = min(readers, key=lambda reader: reader.next_offset)
        done = Restoring(0, 0)
        return PartitionVitals(*where, behind.next_offset, done, behind.clock_ms, ranges=self.ranges[where])


def _of_join(router: str, partition: int, counts: Counts) -> Iterator[Sample]:
    place, found = {"router": router, "partition": str(partition)}, asdict(counts)
    for fate in _PREDICTIONS:
        yield Sample("join_predictions", "What became of predictions", {**place, "fate": fate}, found[fate])
    for fate in _OUTCOMES:
        yield Sample("join_outcomes", "What became of outcomes", {**place, "fate": fate}, found[fate])
    for name, reason in _REFUSED.items():
        meaning = "Copies of predictions, predictions too late, records that could not be read"
        yield Sample("join_refused", meaning, {**place, "reason": reason}, found[name], grows=True)
    yield Sample("join_examples", "Examples given out, corrections too", place, found["examples"], grows=True)


def _of_intake(intake: OutcomeIntake, partition: int) -> Iterator[Sample]:
    place = {"router": intake.router.name, "topic": intake.source.topic, "partition": str(partition)}
    for fate, count in asdict(intake.reader(partition).counts).items():
        labels = {**place, "fate": fate}
        yield Sample(
            "join_labels", "What became of the records labels are taken from", labels, count, grows=True
        )
