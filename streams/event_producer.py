"""The producer SDK: events into a topic, checked, and acknowledged. Needs neither Feast nor Redis.

>>> clicks = EventFormat("clicks", schema, key_field="user", timestamp_field="at")    # doctest: +SKIP
>>> with EventProducer("127.0.0.1:9092", clicks) as producer:                         # doctest: +SKIP
...     producer.send({"user": "ada", "at": 1_700_000_000_000, "price": 5})
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka
from headrace.streams.producers.event_encoder import EventEncoder, SerializeKey, text_key
from headrace.streams.producers.event_format import EventFormat
from headrace.streams.producers.outbox import Outbox
from headrace.streams.producers.topic_producer import TopicProducer

__all__ = ["EventFormat", "EventProducer", "Outbox"]


class EventProducer(TopicProducer):
    """Sends events to one topic, in order. For one thread at a time.

    Keyed events go to the partition that Kafka's Java producer chooses. Nothing is dropped: a record is
    acknowledged by all in-sync replicas, or a later call raises.

    Parameters
    ----------
    kafka
        Bootstrap servers, a configuration of librdkafka, or an `Outbox` to share with other producers.
    events
        The topic and what its events look like.
    serialize_key
        Makes the Kafka key from the value of the key field; by default its text, as Java's
        ``StringSerializer``.

    Raises
    ------
    SettingsError
        When the configuration cannot be used.
    SchemaError
        When the schema is not valid, or lacks the key or the time field.
    """

    def __init__(
        self, kafka: Kafka | Outbox, events: EventFormat, serialize_key: SerializeKey = text_key
    ) -> None:
        super().__init__(kafka, events.topic)
        self._encoder = EventEncoder(events, serialize_key, self._outbox.max_bytes)

    @classmethod
    def from_plan(
        cls, kafka: Kafka | Outbox, plan: Plan, source: str, serialize_key: SerializeKey = text_key
    ) -> Self:
        """Return a producer for a source of a plan.

        Raises
        ------
        UnknownNameError
            When the plan has no such source.
        """
        return cls(kafka, EventFormat.of_source(plan.source(source)), serialize_key)

    def send(self, event: Mapping[str, Any]) -> None:
        """Validate an event and send it. Blocks while the queue is full.

        Raises
        ------
        RecordError
            When the event does not fit; it is not sent.
        DeliveryError
            When earlier events were not delivered; this one is not sent.
        UnknownNameError
            When there is no such topic.
        """
        self._send([self._encoder.encode(event)])

    def send_batch(self, events: Iterable[Mapping[str, Any]]) -> int:
        """Validate all events, then send them. Blocks while the queue is full. Return how many there are.

        Raises
        ------
        RecordError
            When one does not fit; none is sent.
        DeliveryError
            When earlier events were not delivered, or these cannot be.
        UnknownNameError
            When there is no such topic.
        """
        return self._send(self._encoder.encode_batch(events))

    def mark(self, time_ms: int) -> int:
        """Send a time mark to every partition: event time has reached `time_ms`. Return how many were sent.

        Raises
        ------
        RecordError
            When the time is further ahead of the clock than an event's may be.
        UnknownNameError, DeliveryError
            As `send` does.
        """
        self._encoder.check_time("time mark", time_ms)
        return super().mark(time_ms)
