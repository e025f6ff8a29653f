"""A partition of the join that a process owns, and what one transaction makes durable of it.

The transaction holds the examples and closings that have come out, the marks that speak of them, the dead
letters, the keys touched, the position, and the offsets of both inputs. Once it is committed, the progress
tells of it.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.event_times import DEFAULT_MAX_FUTURE_MS
from headrace.schemas.marks import crosses, mark_headers
from headrace.schemas.router_specs import RouterSpec
from headrace.schemas.topics import ProjectTopics, RouterTopics
from headrace.streams.connections.redis_updates import HashUpdate
from headrace.streams.join.changelog import POSITION_KEY, changelog_key, encode_key, encode_position
from headrace.streams.join.config import JoinConfig
from headrace.streams.join.input import PartitionInputs, rejected_dead_letter
from headrace.streams.join.order_marks import OrderMarks
from headrace.streams.join.outputs import Released
from headrace.streams.join.partition_join import PartitionJoin
from headrace.streams.join.silence import Silence
from headrace.streams.join.state import INPUTS, Input, Position
from headrace.streams.log.transactions import Place, Records
from headrace.streams.progress import Progress, counts_key, progress_field, progress_key

_log = logging.getLogger(__name__)

End = Callable[[str, int, int], int]  # topic, partition, a known end: the end by what was delivered
PastGap = Callable[[str, int, int], int]  # topic, partition, next offset: see `RangeReader.past_gap`


@dataclass(frozen=True)
class CheckpointBatch:
    """What one transaction makes durable of a partition.

    Attributes
    ----------
    records
        In the order in which they are to stand in their partitions.
    messages
        Ranges that have been processed, to acknowledge.
    committed
        To be called once the transaction is committed.
    offsets
        Next offsets of what was read: the group judges who may commit them.
    """

    records: Sequence[Records]
    messages: Sequence[Any]
    committed: Callable[[], None]
    offsets: Mapping[Place, int]


@dataclass
class OwnedPartition:
    """A partition of a router that this process owns.

    Attributes
    ----------
    plan
        Hash of the plan that the process has.
    ends
        End offsets of the outputs ``examples`` and ``closings``.
    past_gap
        Tells the end of an input behind its last record.
    max_future_ms
        How far ahead of its append time a record or mark of an input may be.
    config
        How the join runs.
    silence
        Tells which inputs are silent.
    committed
        The position as of the last transaction.
    inputs
        Reads the inputs, and holds what is not processed yet.
    messages, dead_letters
        Ranges that are not acknowledged, in the order in which they came, and dead letters since then.
    marked_ms
        The clock that was sent last with what it speaks of.
    ranges
        How many ranges of each input were taken in.
    paused
        Inputs of which no more is read until the other has caught up.
    """

    project: str
    plan: str
    router: RouterSpec
    partition: int
    join: PartitionJoin
    ends: dict[str, int]
    past_gap: PastGap
    max_future_ms: int = DEFAULT_MAX_FUTURE_MS
    config: JoinConfig = field(default_factory=JoinConfig)
    silence: Silence = field(init=False)
    inputs: PartitionInputs = field(init=False)
    order_marks: OrderMarks = field(init=False)
    committed: Position = field(init=False)
    messages: list[tuple[Input, Any]] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    marked_ms: int | None = field(init=False)
    ranges: Counter[Input] = field(default_factory=Counter)
    paused: set[Input] = field(default_factory=set)
    _published: Mapping[Input, int] | None = None
    _told: Mapping[Input, int] = field(default_factory=dict)  # marks to write, of inputs that are silent
    _reported: set[str] = field(default_factory=set)  # quotas

    def __post_init__(self) -> None:
        self.committed, self.marked_ms = self.join.position(), self.join.released_ms
        self.silence = Silence(self.join, self.config.idle_ms, self.router.wait_ms, time.monotonic())
        self.inputs = PartitionInputs(self.join, self.topics, self.partition, self.max_future_ms)
        self.order_marks = OrderMarks(self.inputs)

    @cached_property
    def topics(self) -> RouterTopics:
        """Topics of the router."""
        return RouterTopics(self.project, self.router.name)

    def topic(self, source: Input) -> str:
        return self.topics.input(source)

    def visible_offset(self, source: Input) -> int:
        """Return the end of the prefix of an input whose outputs are in their topics."""
        return self.past_gap(self.topic(source), self.partition, self.committed.next_offsets[source])

    def feed(self, source: Input, message: Any) -> None:
        """Take a range in, and process what its turn has come of."""
        for record, appended_ms in zip(message.value, message.value.appended.tolist(), strict=True):
            self.inputs.read(source, record, appended_ms)
        self.dead_letters += self.inputs.process()
        self.messages.append((source, message))
        self.ranges[source] += 1
        now_s = time.monotonic()
        self.silence.heard(source, now_s)
        self.order_marks.heard(source, now_s)

    def is_processed(self, source: Input, message: Any) -> bool:
        """Whether all records of a range have been processed."""
        return bool(self.join.next_offsets[source] > message.value.offsets[-1])

    def tell_time(self, marks: Mapping[Input, int]) -> None:
        """Write these marks with the next batch, into inputs that are silent."""
        self._told = marks

    def take_batch(self) -> CheckpointBatch | None:
        """Return what follows from the ranges since the last call; None without one."""
        position = self.join.position()
        if position.next_offsets == self.committed.next_offsets and not self._told:
            return None
        told, self._told = self._told, {}
        ended = [message for source, message in self.messages if self.is_processed(source, message)]
        self.messages = [one for one in self.messages if not self.is_processed(*one)]
        released = self.join.take_released()
        self._report_quotas(released)
        records = [self._dead_letters(released), *self._outputs(released), *self._marks(position)]
        records += [
            Records(self.topic(source), self.partition, _MARK, mark_headers(ms))
            for source, ms in told.items()
        ]
        records.append(self._changelog(position))

        def committed() -> None:
            self.committed = position

        written = [batch for batch in records if batch.entries]
        return CheckpointBatch(written, ended, committed, self._offsets(position, told))

    def _offsets(self, position: Position, told: Mapping[Input, int]) -> Mapping[Place, int]:
        """Return how far the inputs were processed: where that has advanced, and where the time is told."""
        before, after = self.committed.next_offsets, position.next_offsets
        return {
            (self.topic(source), self.partition): after[source]
            for source in INPUTS
            if source in told or after[source] != before[source]
        }

    def _dead_letters(self, released: Released) -> Records:
        dead_letters, self.dead_letters = self.dead_letters, []
        dead_letters += [
            rejected_dead_letter(r, self.topic(r.input), self.partition)
            for r in released.rejected
            if r.kind != "orphan" or self._orphan_letters
        ]
        entries = [
            (f"{one.topic}/{one.partition}/{one.offset}".encode(), one.to_bytes()) for one in dead_letters
        ]
        return Records(ProjectTopics(self.project).dead_letters, 0, entries)

    @property
    def _orphan_letters(self) -> bool:
        """Whether outcomes without a prediction are dead letters. In a topic of all cases most have none."""
        return self.router.outcome is None or self.config.orphan_letters

    def _report_quotas(self, released: Released) -> None:
        """Log each quota that is reached, once."""
        reasons = {one.reason for one in released.rejected} & self.join.quotas
        for reason in sorted(reasons - self._reported):
            name, partition = self.router.name, self.partition
            _log.warning("join %s[%d]: %s; more are turned away, and counted", name, partition, reason)
        self._reported |= reasons

    def _outputs(self, released: Released) -> Iterator[Records]:
        examples = [(e.key.encode(), e.to_bytes()) for e in released.examples]
        yield Records(self.topics.examples, 0, examples)
        closings = [(c.key.encode(), c.to_bytes()) for c in released.closings]
        yield Records(self.topics.closings, self.partition, closings)

    def _marks(self, position: Position) -> Iterator[Records]:
        """Marks of the clock. Where it passes the end of a refresh, the closings get one; where it passes the
        end of what one version learns, the examples. Where no mark publishes (0), they get each advance."""
        router, clock_ms = self.router, position.released_ms
        before_ms, self.marked_ms = self.marked_ms, clock_ms
        if clock_ms is None:
            return
        headers = mark_headers(clock_ms, self.partition, router.partitions)
        if crosses(before_ms, clock_ms, router.refresh_ms):
            yield Records(self.topics.closings, self.partition, _MARK, mark_headers(clock_ms))
        if crosses(before_ms, clock_ms, router.publish_ms or 1):
            yield Records(self.topics.examples, 0, _MARK, headers)

    def _changelog(self, position: Position) -> Records:
        """Return the keys touched and, last, the position."""
        entries = [
            (changelog_key(key), encode_key(state) if state else None)
            for key, state in self.join.take_touched().items()
        ]
        entries.append((POSITION_KEY, encode_position(position)))
        return Records(self.topics.join_changelog, self.partition, entries)

    def updates(self, end: End) -> Iterator[HashUpdate]:
        """Progress and counts, if they have advanced since the last call; may ask Kafka, and block."""
        offsets = {source: self.visible_offset(source) for source in INPUTS}
        if offsets == self._published:
            return
        name, counts = self.router.name, json.dumps(asdict(self.committed.counts))
        examples, closings = self.topics.examples, self.topics.closings
        self.ends = {
            "examples": end(examples, 0, self.ends["examples"]),
            "closings": end(closings, self.partition, self.ends["closings"]),
        }
        out = {f"{examples}|0": self.ends["examples"], f"{closings}|{self.partition}": self.ends["closings"]}
        records = {source: Progress(offset, out, plan=self.plan) for source, offset in offsets.items()}
        progress = {
            progress_field("join", self.topic(source), self.partition): record.encode()
            for source, record in records.items()
        }
        log, prefix = f"join|{name}|{self.partition}", sum(offsets.values())  # each of them only advances
        yield HashUpdate(progress_key(self.project), log, prefix, progress)
        yield HashUpdate(counts_key(self.project), log, prefix, {log: counts})
        self._published = offsets


_MARK = [(None, None)]
