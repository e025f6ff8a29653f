"""The base of producers of one topic: time marks, and the offsets to wait for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from headrace.schemas.marks import mark_headers
from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.kafka_producer import KafkaRecord
from headrace.streams.producers.outbox import Deliveries, Outbox


class TopicProducer:
    """Sends time marks to a topic, and the records of a subclass. For one thread at a time.

    Parameters
    ----------
    kafka
        Bootstrap servers, a configuration of librdkafka, or an `Outbox` to share with other producers.
    topic
        Name of the topic.

    Raises
    ------
    SettingsError
        When the configuration cannot be used.
    """

    def __init__(self, kafka: Kafka | Outbox, topic: str) -> None:
        self.topic = topic
        self._outbox = kafka if isinstance(kafka, Outbox) else Outbox(kafka)
        self._deliveries = Deliveries(topic)
        self._partitions = 0

    @property
    def partition_count(self) -> int:
        """Number of partitions of the topic. Kafka is asked once.

        Raises
        ------
        UnknownNameError
            When there is no such topic.
        ServiceUnavailable
            When no broker answers.
        """
        if not self._partitions:
            self._partitions = self._outbox.partition_count(self.topic)
        return self._partitions

    def mark(self, time_ms: int) -> int:
        """Send a time mark to every partition: event time has reached `time_ms`. Return how many were sent.

        Raises
        ------
        UnknownNameError
            When there is no such topic.
        DeliveryError
            When earlier records were not delivered; the marks are not sent.
        """
        return self._send(mark_records(time_ms, self.partition_count))

    def flush(self) -> dict[int, int]:
        """Block until every record sent is acknowledged.

        Returns
        -------
        dict
            Partition to the offset behind the last record of this producer: a prefix to wait for with
            `FeatureClient.wait` or ``headrace wait``.

        Raises
        ------
        DeliveryError
            When records were not delivered within ``delivery.timeout.ms``.
        """
        self._outbox.flush(self._deliveries)
        return dict(self._deliveries.ends)

    def _send(self, records: Sequence[KafkaRecord]) -> int:
        if self.partition_count:  # a topic that is missing must not come into being by a typing error
            self._outbox.send(records, self._deliveries)
        return len(records)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()


def mark_records(time_ms: int, partitions: int) -> list[KafkaRecord]:
    """Return a time mark for each partition of a topic."""
    headers = mark_headers(time_ms)
    return [KafkaRecord(None, None, time_ms, headers, partition) for partition in range(partitions)]
