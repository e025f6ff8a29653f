"""The base of everything that writes to Kafka, with one configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, Message, Producer

from headrace.streams.connections.connection_errors import ConnectionErrors
from headrace.streams.connections.kafka import Kafka, client_config
from headrace.streams.connections.kafka_admin import REQUEST_S, metadata_of, partitions_of

ANY_PARTITION: Final = -1
NOW: Final = 0
ALWAYS: Final[Mapping[str, Any]] = {
    "acks": "all",
    "enable.idempotence": True,
    "partitioner": "murmur2_random",  # as Java's default: murmur2 of the key, any partition without a key
}

Report = Callable[[KafkaError | None, Message], None]


class KafkaRecord(NamedTuple):
    """A record to write; `timestamp_ms` is `NOW` or epoch milliseconds."""

    value: bytes | None
    key: bytes | None = None
    timestamp_ms: int = NOW
    headers: Sequence[tuple[str, bytes | None]] = ()
    partition: int = ANY_PARTITION

    @property
    def size(self) -> int:
        """Bytes that count towards ``message.max.bytes``."""
        headers = sum(len(name) + len(value or b"") for name, value in self.headers)
        return len(self.value or b"") + len(self.key or b"") + headers


class KafkaProducer:
    """Writes each record once, in order, and acknowledged by all in-sync replicas.

    Parameters
    ----------
    kafka
        How to reach Kafka; its properties come before `settings`.
    settings
        Properties of librdkafka: what is sent at once, and for how long.
    """

    def __init__(self, kafka: Kafka, settings: Mapping[str, Any]) -> None:
        self._kafka, self._errors = kafka, ConnectionErrors()
        self._settings = {**settings, "error_cb": self._errors, **client_config(kafka), **ALWAYS}
        self._producer = Producer(self._settings)

    def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic has. Blocks.

        Raises
        ------
        UnknownNameError
            When there is no such topic.
        ServiceUnavailable
            When no broker answers.
        """
        known = metadata_of(self._producer, self._kafka, self._errors, REQUEST_S)
        return len(partitions_of(known, topic))

    def offer(self, topic: str, record: KafkaRecord, report: Report) -> bool:
        """Queue a record. `report` is called when it is delivered or given up.

        Returns
        -------
        bool
            False when the queue is full; the record is not in it.

        Raises
        ------
        KafkaException
            When the record cannot be queued, for example because it is too large.
        """
        try:
            self._producer.produce(
                topic,
                record.value,
                record.key,
                record.partition,
                report,
                timestamp=record.timestamp_ms,
                headers=list(record.headers) if record.headers else None,
            )
        except BufferError:
            return False
        return True

    def serve(self, timeout_s: float = 0.0) -> None:
        """Call the reports of records that are delivered or given up; return after the first, or in time."""
        self._producer.poll(timeout_s)
