"""The producer of the stream processes: idempotent, and never silent about a record it could not deliver."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaException, Producer

from schemas.errors import ServiceUnavailable
from streams.kafka_access import Kafka, client_config

_MAX_BYTES = 8 * 1024**2  # a block holds a whole range; the topics allow as much
_Headers = Sequence[tuple[str, bytes]]


class LogProducer:
    """Sends records in order; `flush` returns when all of them are in the log.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    """

    def __init__(self, kafka: Kafka) -> None:
        self._producer = Producer(
            {
                **client_config(kafka),
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": 2,
                "message.max.bytes": _MAX_BYTES,
                "queue.buffering.max.messages": 500_000,
                "queue.buffering.max.kbytes": 256 * 1024,
            }
        )
        self._failure: str | None = None

    def send(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: _Headers = (),
    ) -> None:
        """Queue a record; waits while the queue is full, which is the back-pressure of a slow broker."""
        while True:
            try:
                self._producer.produce(
                    topic, value, key, partition, on_delivery=self._delivered, headers=list(headers)
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failure = f"{message.topic()}[{message.partition()}]: {error}"

    async def flush(self) -> None:
        """`flush_blocking`, without blocking the event loop."""
        await asyncio.get_running_loop().run_in_executor(None, self.flush_blocking)

    def flush_blocking(self) -> None:
        """Wait until everything sent is in the log.

        Raises
        ------
        ServiceUnavailable
            When a record could not be delivered. It is lost to this process: stop, and start again from the
            last checkpoint.
        """
        try:
            left = self._producer.flush()
        except KafkaException as error:
            raise ServiceUnavailable(f"Kafka takes no records: {error}") from error
        if self._failure or left:
            raise ServiceUnavailable(f"Kafka did not take a record: {self._failure or f'{left} unsent'}")
