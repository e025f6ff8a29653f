"""One checkpoint of the join: what it makes durable, and the order in which it is written.

Examples and closings, then the marks that speak of them; once those are in the log the changelog, each
partition's position last; once that is in the log the acknowledgements and the progress.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from schemas import topics
from schemas.marks import mark_headers
from schemas.plan import RouterSpec
from schemas.records import DeadLetter
from streams.join import PartitionJoin
from streams.join_intake import feed_record, refused_letter
from streams.join_json import closing_json, example_json
from streams.join_release import Released
from streams.join_state import (
    INPUTS,
    POSITION,
    Input,
    Position,
    changelog_key,
    encode_key,
    reached_headers,
)
from streams.offset_producer import OffsetProducer
from streams.progress import Progress, counts_key, progress_field, progress_key

Published = dict[str, dict[str, str]]  # Redis hash to field to value


@dataclass
class JoinPartition:
    """A partition of a router that this process has, and what waits for its next checkpoint."""

    project: str
    router: RouterSpec
    partition: int
    join: PartitionJoin
    ends: dict[str, int]
    messages: list[Any] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    sent_ms: int | None = None  # the last mark that is behind everything it speaks of

    def topic(self, source: Input) -> str:
        name = topics.predictions if source == "predictions" else topics.outcomes
        return name(self.project, self.router.name)

    def feed(self, source: Input, message: Any) -> int:
        """Take in a range; the number of its records."""
        for record in message.value:
            letter = feed_record(self.join, source, self.topic(source), self.partition, record)
            if letter is not None:
                self.letters.append(letter)
        self.messages.append(message)
        return len(message.value)

    def cut(self) -> Cut | None:
        """Everything up to now, for a checkpoint; None when there is nothing new, or not yet."""
        if not self.messages or self.join.replaying:
            return None
        messages, self.messages = self.messages, []
        letters, self.letters = self.letters, []
        released = self.join.take_released()
        letters += [refused_letter(r, self.topic(r.input), self.partition) for r in released.refused]
        touched = self.join.take_touched()
        states = [
            (changelog_key(key), encode_key(state) if state else None) for key, state in touched.items()
        ]
        return Cut(self, self.join.position({}), released, states, letters, messages)


@dataclass(frozen=True)
class Cut:
    """What a checkpoint makes durable of one partition."""

    of: JoinPartition
    position: Position
    released: Released
    states: list[tuple[bytes, bytes | None]]
    letters: list[DeadLetter]
    messages: list[Any]


class JoinWriter:
    """Writes the cuts of one checkpoint.

    Parameters
    ----------
    project
        Names the topics.
    producer
        Where everything goes; the caller flushes after each call.
    """

    def __init__(self, project: str, producer: OffsetProducer) -> None:
        self._project, self._producer = project, producer
        self._marked_ms: dict[str, int] = {}  # router to the last mark of its examples

    def send_outputs(self, cuts: Sequence[Cut]) -> None:
        """Dead letters, examples and closings."""
        for cut in cuts:
            name, partition = cut.of.router.name, cut.of.partition
            headers = reached_headers(partition, cut.position.next_offsets)
            for letter in cut.letters:
                key = f"{letter.topic}/{letter.partition}/{letter.offset}".encode()
                self._producer.send(topics.dead_letters(self._project), 0, key, letter.to_bytes())
            examples, closings = topics.examples(self._project, name), topics.closings(self._project, name)
            for example in cut.released.examples:
                key = example.prediction.key.encode()
                self._producer.send(examples, 0, key, example_json(example), headers)
            for closing in cut.released.closings:
                key = closing.prediction.key.encode()
                self._producer.send(closings, partition, key, closing_json(closing), headers)

    def send_marks(self, cuts: Sequence[Cut], owned: Sequence[JoinPartition]) -> None:
        """The clocks that advanced, behind what they released; `owned` are all partitions of this process."""
        for cut in cuts:
            clock, of = cut.position.released_ms, cut.of
            if clock is not None and (of.sent_ms is None or clock > of.sent_ms):
                of.sent_ms = clock
                where = topics.closings(self._project, of.router.name), of.partition
                self._producer.send(*where, None, None, mark_headers(clock))
        for router in {cut.of.router.name: cut.of.router for cut in cuts}.values():
            clocks = [one.sent_ms for one in owned if one.router.name == router.name]
            known = [clock for clock in clocks if clock is not None]
            if len(known) == router.partitions and min(known) > self._marked_ms.get(router.name, -1):
                self._marked_ms[router.name] = min(known)
                where = topics.examples(self._project, router.name), 0
                self._producer.send(*where, None, None, mark_headers(min(known)))

    def send_changelog(self, cuts: Sequence[Cut]) -> None:
        """Touched keys and, last, the position, which says where the outputs end."""
        for cut in cuts:
            of = cut.of
            of.ends = {
                "examples": self._end(topics.examples(self._project, of.router.name), 0, of, "examples"),
                "closings": self._end(
                    topics.closings(self._project, of.router.name), of.partition, of, "closings"
                ),
            }
            position = replace(cut.position, ends=of.ends)
            for key, value in [*cut.states, (POSITION, position.encode())]:
                changelog = topics.join_changelog(self._project, of.router.name)
                self._producer.send(changelog, of.partition, key, value)

    def _end(self, topic: str, partition: int, of: JoinPartition, name: str) -> int:
        return self._producer.end(topic, partition, of.ends[name])


def published(partitions: Sequence[tuple[JoinPartition, Position]]) -> Published:
    """Progress and counts of partitions as of their positions."""
    found: Published = {}
    for of, position in partitions:
        counts = found.setdefault(counts_key(of.project), {})
        counts[f"join|{of.router.name}|{of.partition}"] = json.dumps(asdict(position.counts))
        found.setdefault(progress_key(of.project), {}).update(_progress(of, position.next_offsets))
    return found


def _progress(of: JoinPartition, next_offsets: Mapping[Input, int]) -> Iterator[tuple[str, str]]:
    out = {
        f"{topics.examples(of.project, of.router.name)}|0": of.ends["examples"],
        f"{topics.closings(of.project, of.router.name)}|{of.partition}": of.ends["closings"],
    }
    for source in INPUTS:
        name = progress_field("join", of.topic(source), of.partition)
        yield name, Progress(next_offsets[source], out).encode()
