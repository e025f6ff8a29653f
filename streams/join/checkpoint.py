"""What the join writes, and in which order.

Soon after every input: examples and closings, then the marks that speak of them; once those are in the log,
the progress. At a checkpoint, behind that: the keys touched since the last one, each partition's position
last; once those are in the log, the acknowledgements.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.marks import crosses, mark_headers
from headrace.schemas.router_specs import RouterSpec
from headrace.schemas.topics import ProjectTopics, RouterTopics
from headrace.streams.connections.redis_updates import HashUpdate
from headrace.streams.join.input import feed_record, refused_dead_letter
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.release import Released
from headrace.streams.join.state import (
    INPUTS,
    POSITION,
    Input,
    Position,
    changelog_key,
    encode_key,
    reached_headers,
)
from headrace.streams.join.wire_format import closing_json, example_json
from headrace.streams.log.offset_producer import OffsetProducer
from headrace.streams.progress import Progress, counts_key, progress_field, progress_key


@dataclass
class JoinPartition:
    """A partition of a router that this process has, and what waits to be written.

    Attributes
    ----------
    ends
        End offsets of the outputs after what was written last.
    heard
        Whether there was input since then.
    messages
        Ranges to acknowledge with the next checkpoint.
    ranges
        How many ranges of each input were taken in.
    written
        The position up to which what follows is in the outputs; None before anything was written.
    """

    project: str
    router: RouterSpec
    partition: int
    join: PartitionJoin
    ends: dict[str, int]
    heard: bool = False
    messages: list[Any] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    sent_ms: int | None = None  # the clock up to which everything it speaks of has been sent
    ranges: Counter[Input] = field(default_factory=Counter)
    written: Position | None = None

    @cached_property
    def topics(self) -> RouterTopics:
        """Topics of the router."""
        return RouterTopics(self.project, self.router.name)

    @property
    def visible_position(self) -> Position:
        """Up to where what follows is in the outputs; while a replay holds it back, how far that is."""
        return self.join.position(self.ends) if self.written is None or self.join.replaying else self.written

    def topic(self, source: Input) -> str:
        return self.topics.input(source)

    def feed(self, source: Input, message: Any) -> int:
        """Take in a range; the number of its records."""
        for record in message.value:
            dead_letter = feed_record(self.join, source, self.topic(source), self.partition, record)
            if dead_letter is not None:
                self.dead_letters.append(dead_letter)
        self.messages.append(message)
        self.heard = True
        self.ranges[source] += 1
        return len(message.value)

    def take_replayed(self) -> list[Any]:
        """Ranges that cannot be acknowledged before a replay has ended, which ends with records to come."""
        if not self.join.replaying:
            return []
        messages, self.messages = self.messages, []
        return messages

    def cut(self, checkpoint: bool) -> Cut | None:
        """What is new to be written; None when there is nothing, or not yet."""
        if not (self.messages if checkpoint else self.heard) or self.join.replaying:
            return None
        self.heard = False
        dead_letters, self.dead_letters = self.dead_letters, []
        released = self.join.take_released()
        dead_letters += [
            refused_dead_letter(r, self.topic(r.input), self.partition) for r in released.refused
        ]
        cut = Cut(self, self.join.position({}), released, dead_letters)
        return self._with_state(cut) if checkpoint else cut

    def _with_state(self, cut: Cut) -> Cut:
        messages, self.messages = self.messages, []
        touched = self.join.take_touched()
        states = [
            (changelog_key(key), encode_key(state) if state else None) for key, state in touched.items()
        ]
        return replace(cut, states=states, messages=messages)


@dataclass(frozen=True)
class Cut:
    """What is written of one partition; `states` and `messages` at a checkpoint only."""

    of: JoinPartition
    position: Position
    released: Released
    dead_letters: list[DeadLetter]
    states: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    messages: list[Any] = field(default_factory=list)


class JoinWriter:
    """Writes cuts.

    Parameters
    ----------
    project
        Names the topics.
    producer
        Where everything goes; the caller flushes after each call.
    """

    def __init__(self, project: str, producer: OffsetProducer) -> None:
        self._project, self._producer = project, producer
        self._dead_letters = ProjectTopics(project).dead_letters
        self._marked_ms: dict[str, int] = {}  # router to the last mark among its examples

    def send_outputs(self, cuts: Sequence[Cut]) -> None:
        """Dead letters, examples and closings."""
        for cut in cuts:
            topics, partition = cut.of.topics, cut.of.partition
            headers = reached_headers(partition, cut.position.next_offsets)
            for dead_letter in cut.dead_letters:
                key = f"{dead_letter.topic}/{dead_letter.partition}/{dead_letter.offset}".encode()
                self._producer.send(self._dead_letters, 0, key, dead_letter.to_bytes())
            for example in cut.released.examples:
                key = example.prediction.key.encode()
                self._producer.send(topics.examples, 0, key, example_json(example), headers)
            for closing in cut.released.closings:
                key = closing.prediction.key.encode()
                self._producer.send(topics.closings, partition, key, closing_json(closing), headers)

    def send_marks(self, cuts: Sequence[Cut], owned: Sequence[JoinPartition]) -> None:
        """The clocks that advanced, behind what they released: the closings hear of the end of a refresh, the
        examples of the end of what one version learns. `owned` are all partitions of this process."""
        for cut in cuts:
            clock, of = cut.position.released_ms, cut.of
            before, of.sent_ms = of.sent_ms, clock
            if clock is not None and crosses(before, clock, of.router.refresh_ms):
                where = of.topics.closings, of.partition
                self._producer.send(*where, None, None, mark_headers(clock))
        for router in {cut.of.router.name: cut.of.router for cut in cuts}.values():
            clocks = [one.sent_ms for one in owned if one.router.name == router.name]
            known = [clock for clock in clocks if clock is not None]
            marked_ms = self._marked_ms.get(router.name)
            # Where no mark publishes (0), each of them still tells how far the examples are.
            if len(known) == router.partitions and crosses(marked_ms, min(known), router.publish_ms or 1):
                self._marked_ms[router.name] = min(known)
                where = RouterTopics(self._project, router.name).examples, 0
                self._producer.send(*where, None, None, mark_headers(min(known)))

    def written(self, cuts: Sequence[Cut]) -> Iterator[HashUpdate]:
        """Progress and counts, now that the outputs are in the log."""
        for cut in cuts:
            of, name = cut.of, cut.of.router.name
            of.ends = {
                "examples": self._producer.end(of.topics.examples, 0, of.ends["examples"]),
                "closings": self._producer.end(of.topics.closings, of.partition, of.ends["closings"]),
            }
            log, offsets = f"join|{name}|{of.partition}", cut.position.next_offsets
            counts = {log: json.dumps(asdict(cut.position.counts))}
            prefix = sum(offsets.values())  # each of them only advances
            yield HashUpdate(progress_key(self._project), log, prefix, dict(_progress(of, offsets)))
            yield HashUpdate(counts_key(self._project), log, prefix, counts)

    def send_changelog(self, cuts: Sequence[Cut]) -> None:
        """Touched keys and, last, the position, which says where the outputs end."""
        for cut in cuts:
            of = cut.of
            position = replace(cut.position, ends=of.ends)
            for key, value in [*cut.states, (POSITION, position.encode())]:
                self._producer.send(of.topics.join_changelog, of.partition, key, value)


def _progress(of: JoinPartition, next_offsets: Mapping[Input, int]) -> Iterator[tuple[str, str]]:
    out = {
        f"{of.topics.examples}|0": of.ends["examples"],
        f"{of.topics.closings}|{of.partition}": of.ends["closings"],
    }
    for source in INPUTS:
        name = progress_field("join", of.topic(source), of.partition)
        yield name, Progress(next_offsets[source], out).encode()
