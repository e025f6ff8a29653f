"""The log of predictions and outcomes: appends records to topics from asyncio, and returns their offsets."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from headrace.streams.connections.kafka import Kafka, client_config

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A record to be appended; `ts_ms` is its timestamp, epoch milliseconds."""

    key: bytes
    value: bytes
    partition: int
    ts_ms: int


class _Delivery:
    """The acknowledgements of one batch: reported by the poll thread, awaited on the event loop."""

    def __init__(self, count: int) -> None:
        self.offsets: list[int | None] = [None] * count
        self._missing = count
        self._loop = asyncio.get_running_loop()
        self.done = asyncio.Event()

    def report(self, index: int, error: KafkaError | None, message: Message | None) -> None:
        if error is None and message is not None:
            self.offsets[index] = message.offset()
        else:
            _log.error("a record was not logged: %s", error)
        self._missing -= 1
        if self._missing == 0 and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.done.set)


class PredictionLog:
    """An idempotent producer with a thread that serves its delivery reports.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    timeout_s
        Longest wait for the acknowledgement of a batch, seconds.
    """

    def __init__(self, kafka: Kafka, timeout_s: float = 5.0) -> None:
        timeout_ms = round(timeout_s * 1000)
        self._timeout_s = timeout_s
        self._producer = Producer(
            {
                **client_config(kafka),
                "enable.idempotence": True,
                "linger.ms": 0,
                "message.timeout.ms": timeout_ms,
            }
        )
        self._stopping = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="prediction-log", daemon=True)

    def start(self) -> None:
        """Begin to serve delivery reports."""
        self._poller.start()

    def close(self) -> None:
        """Send records that are waiting, then stop."""
        self._producer.flush(self._timeout_s)
        self._stopping.set()
        self._poller.join()

    def reachable(self) -> bool:
        """Tell whether a broker answers within a second. Blocks."""
        try:
            self._producer.list_topics(timeout=1.0)
        except KafkaException:
            return False
        return True

    async def append(self, topic: str, entries: Sequence[Entry]) -> list[int | None]:
        """Append records, and return their offsets; None for those that were not acknowledged in time."""
        if not entries:
            return []
        delivery = _Delivery(len(entries))
        for index, entry in enumerate(entries):
            self._produce(topic, entry, delivery, index)
        try:
            await asyncio.wait_for(delivery.done.wait(), self._timeout_s)
        except TimeoutError:
            _log.error("topic '%s' acknowledges nothing for %g s", topic, self._timeout_s)
        return list(delivery.offsets)

    def _produce(self, topic: str, entry: Entry, delivery: _Delivery, index: int) -> None:
        def report(error: KafkaError | None, message: Message) -> None:
            delivery.report(index, error, message)

        try:
            self._producer.produce(
                topic, entry.value, entry.key, entry.partition, on_delivery=report, timestamp=entry.ts_ms
            )
        except BufferError:
            delivery.report(index, KafkaError(KafkaError._QUEUE_FULL), None)

    def _poll(self) -> None:
        while not self._stopping.is_set():
            self._producer.poll(0.1)
