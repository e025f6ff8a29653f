"""Producing events and time marks, and knowing how long the log has become."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from confluent_kafka import KafkaError, Message, Producer

from examples.flights.events import Event, EventTopic
from schemas.marks import mark_headers

FLUSH_S = 30.0


class EventLog:
    """Writes to event topics; `prefix` tells what has been acknowledged.

    Parameters
    ----------
    bootstrap
        ``host:port`` of a Kafka broker.
    """

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "log_level": 3}
        )
        self.produced: dict[str, int] = defaultdict(int)
        self.marks: dict[str, int] = defaultdict(int)
        self._ends: dict[str, dict[int, int]] = defaultdict(dict)
        self._failure: KafkaError | None = None

    def partitions(self, topic: str) -> int:
        return len(self._producer.list_topics(topic, timeout=FLUSH_S).topics[topic].partitions)

    def produce(self, topic: EventTopic, events: Iterable[Event]) -> None:
        for event in events:
            self._producer.produce(
                topic.topic,
                event.value,
                event.key,
                partition=event.partition,
                timestamp=event.event_ms,
                on_delivery=self._delivered,
            )
            self.produced[topic.topic] += 1

    def mark(self, topic: str, partitions: int, time_ms: int) -> None:
        """Say in every partition that event time has reached `time_ms`."""
        for partition in range(partitions):
            self._producer.produce(
                topic,
                partition=partition,
                timestamp=time_ms,
                headers=mark_headers(time_ms),
                on_delivery=self._delivered,
            )
            self.marks[topic] += 1

    def prefix(self, topic: str) -> dict[int, int]:
        """Partition to next offset of all that was written here and acknowledged.

        Raises
        ------
        RuntimeError
            When the broker did not take everything.
        """
        left = self._producer.flush(FLUSH_S)
        if self._failure is not None or left:
            raise RuntimeError(f"Kafka did not take all events: {self._failure or f'{left} unacknowledged'}")
        return dict(self._ends[topic])

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failure = error
            return
        ends = self._ends[str(message.topic())]
        partition = int(message.partition() or 0)
        ends[partition] = max(ends.get(partition, 0), int(message.offset() or 0) + 1)
