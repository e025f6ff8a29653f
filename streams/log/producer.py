"""The producer of the stream processes: never silent about a record that could not be delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from confluent_kafka import KafkaError, KafkaException

from headrace.schemas.errors import ServiceUnavailable
from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.kafka_producer import NOW, KafkaProducer

_QUEUED, _AT_ONCE = 500_000, 10_000  # records in the queue, and handed over by one call
_FULL_S = 0.1  # pause while the queue is full
_Headers = Sequence[tuple[str, bytes]]


class LogProducer(KafkaProducer):
    """Sends many records in order; `flush` returns when all of them are in the log.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    more
        Further properties of librdkafka.
    """

    _reports_all: ClassVar[bool] = False  # whether `_delivered` is called for more than failures

    def __init__(self, kafka: Kafka, more: Mapping[str, Any] | None = None) -> None:
        super().__init__(
            kafka,
            {
                "compression.type": "lz4",
                "linger.ms": 2,
                "message.max.bytes": 8 * 1024**2,  # a block holds a whole range; the topics allow as much
                "queue.buffering.max.messages": _QUEUED,
                "queue.buffering.max.kbytes": 256 * 1024,
                "delivery.report.only.error": not self._reports_all,
                **(more or {}),
            },
        )
        self._failure: str | None = None

    def send(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: _Headers = (),
        timestamp_ms: int = NOW,
    ) -> None:
        """Queue a record. Waits while the queue is full: the back-pressure of a slow broker."""
        while True:
            try:
                self._producer.produce(
                    topic,
                    value,
                    key,
                    partition,
                    self._delivered,
                    timestamp=timestamp_ms,
                    headers=list(headers),
                )
            except BufferError:
                self._producer.poll(_FULL_S)
            else:
                self._producer.poll(0)
                return

    def send_all(
        self, topic: str, partition: int, records: Sequence[tuple[bytes | None, bytes | None]]
    ) -> None:
        """Queue keys and values as `send` does, at half the cost of each.

        Raises
        ------
        KafkaException
            When a record cannot be queued, for example because it is too large.
        """
        first = 0
        while first < len(records):
            batch = [{"key": key, "value": value} for key, value in records[first : first + _AT_ONCE]]
            sent = self._producer.produce_batch(topic, batch, partition, on_delivery=self._delivered)
            refused: Any = next((record["_error"] for record in batch if "_error" in record), None)
            if refused is not None and refused.code() != KafkaError._QUEUE_FULL:
                raise KafkaException(refused)
            self._producer.poll(0 if sent == len(batch) else _FULL_S)
            first += sent  # behind one that has no room, none has been queued

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failure = f"{message.topic()}[{message.partition()}]: {error}"

    async def flush(self) -> None:
        """Wait as `flush_blocking` does, without blocking the event loop."""
        await asyncio.get_running_loop().run_in_executor(None, self.flush_blocking)

    def flush_blocking(self) -> None:
        """Wait until every record sent is in the log.

        Raises
        ------
        ServiceUnavailable
            When a record could not be delivered. This process has lost it: stop, and start again from the
            last checkpoint.
        """
        try:
            left = self._producer.flush()
        except KafkaException as error:
            raise ServiceUnavailable(f"Kafka takes no records: {error}") from error
        if self._failure or left:
            raise ServiceUnavailable(f"Kafka did not take a record: {self._failure or f'{left} unsent'}")
