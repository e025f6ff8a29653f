"""What the topics of a router hold of the past, up to ends that stay: several processes read the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from headrace.schemas.errors import RecordError
from headrace.schemas.event_times import time_fault
from headrace.schemas.marks import mark_time_ms
from headrace.schemas.plan import Plan
from headrace.schemas.records import Closing, Epoch, Example, read_record
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import end_offsets
from headrace.streams.log.reader import read_log
from headrace.streams.log.records import appended_ms, headers_of


@dataclass(frozen=True)
class PastClosing:
    """A closing or a time mark, and its place.

    Attributes
    ----------
    closing
        None for a time mark.
    raw
        The closing as it was logged; empty for a time mark.
    time_ms
        Of the mark, or of the closing: that of its prediction plus the wait.
    """

    partition: int
    offset: int
    closing: Closing | None
    raw: bytes
    time_ms: int


@dataclass(frozen=True)
class PastLog:
    """The topics of a router.

    Attributes
    ----------
    kafka
        How to reach Kafka.
    plan
        The plan in force.
    router
        Name of the router.
    ends
        By topic and partition, the offset behind the last record that is read.
    """

    kafka: Kafka
    plan: Plan
    router: str
    ends: Mapping[tuple[str, int], int]

    @classmethod
    def now(cls, kafka: Kafka, plan: Plan, router: str) -> PastLog:
        """Return the log up to where it ends now.

        Raises
        ------
        UnknownNameError
            When a topic does not exist.
        ServiceUnavailable
            When Kafka does not answer.
        """
        topics = plan.topics.router(router)
        ends = end_offsets(kafka, [topics.examples, topics.closings, topics.epochs], committed=True)
        return cls(kafka, plan, router, ends)

    def examples(self) -> Iterator[tuple[int, Example]]:
        """Yield offset and example. What is none is passed over, as the trainer does."""
        for message in self._read(self.plan.topics.router(self.router).examples, 0):
            if (value := message.value()) is not None:
                with suppress(RecordError):
                    yield message.offset(), read_record(Example.model_validate_json, value)

    def closings(self) -> Iterator[PastClosing]:
        """Yield closings and time marks, partition by partition, in the order of their offsets.

        What the trainer refuses is passed over.
        """
        topic, spec = self.plan.topics.router(self.router).closings, self.plan.router(self.router)
        for partition in range(spec.partitions):
            for message in self._read(topic, partition):
                with suppress(RecordError):
                    found = _closing(message, spec.wait_ms)
                    if not time_fault(found.time_ms, appended_ms(message), self.plan.max_future_ms(spec)):
                        yield found

    def epochs(self) -> Iterator[Epoch]:
        """Yield the epochs that were put in force, oldest first."""
        for message in self._read(self.plan.topics.router(self.router).epochs, 0):
            with suppress(RecordError):
                yield read_record(Epoch.model_validate_json, message.value() or b"")

    def _read(self, topic: str, partition: int) -> Iterator[Any]:
        end = self.ends.get((topic, partition), 0)
        if not end:
            return iter(())
        messages = read_log(self.kafka, topic, partition, 0, end)
        return takewhile(lambda message: message.offset() < end, messages)


def _closing(message: Any, wait_ms: int) -> PastClosing:
    partition, offset, raw = message.partition(), message.offset(), message.value()
    if raw is None:
        time_ms = mark_time_ms(headers_of(message))
        if time_ms is None:
            raise RecordError("it is no time mark")
        return PastClosing(partition, offset, None, b"", time_ms)
    closing = read_record(Closing.model_validate_json, raw)
    return PastClosing(partition, offset, closing, raw, closing.prediction.ts_ms + wait_ms)
