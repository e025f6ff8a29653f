"""The log of predictions and outcomes: appends records to topics from asyncio, and returns their offsets."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message

from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.async_reports import Countdown, ReportThread
from headrace.streams.log.kafka_producer import KafkaProducer, KafkaRecord

_log = logging.getLogger(__name__)
LogEntry = tuple[str, KafkaRecord]  # with its topic
_QUEUE_RECORDS = 50_000  # waiting for Kafka
_QUEUE_BYTES = 64 * 1024**2
_MESSAGE_BYTES = 1_000_000  # librdkafka's default of message.max.bytes
_OVERHEAD = 512  # bytes of a message besides key and value, and more


class _Queue:
    """Counts what waits for Kafka, so that a batch is queued whole or not at all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records = self._bytes = 0

    def enter(self, records: int, size: int) -> bool:
        """Take room for a batch; False, and nothing is taken, when there is not enough."""
        with self._lock:
            full = self._records + records > _QUEUE_RECORDS or self._bytes + size > _QUEUE_BYTES
            if full and self._records:
                return False
            self._records, self._bytes = self._records + records, self._bytes + size
            return True

    def leave(self, size: int) -> None:
        """Give the room of a record back."""
        with self._lock:
            self._records, self._bytes = self._records - 1, self._bytes - size


class _Delivery:
    """The acknowledgements of one batch: reported by the producer's thread, awaited on the event loop."""

    def __init__(self, count: int) -> None:
        self.offsets: list[int | None] = [None] * count
        self.settled = Countdown(count)

    def report(self, index: int, error: KafkaError | None, message: Message | None) -> None:
        if error is None and message is not None:
            self.offsets[index] = message.offset()
        else:
            _log.error("a record was not logged: %s", error)
        self.settled.count()


class PredictionLog(KafkaProducer):
    """A producer that sends at once, with a thread that serves its delivery reports.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    timeout_s
        Longest wait for the acknowledgement of a batch, seconds.

    Attributes
    ----------
    max_record_bytes
        Greatest size of a record, as `KafkaRecord.size` has it.
    """

    def __init__(self, kafka: Kafka, timeout_s: float = 5.0) -> None:
        super().__init__(kafka, {"linger.ms": 0, "message.timeout.ms": round(timeout_s * 1000)})
        self._timeout_s, self._queue = timeout_s, _Queue()
        self.max_record_bytes = int(self._settings.get("message.max.bytes", _MESSAGE_BYTES)) - _OVERHEAD
        self._reports = ReportThread(self, "prediction-log")

    def start(self) -> None:
        """Begin to serve delivery reports."""
        self._reports.start()

    def close(self) -> None:
        """Send records that are waiting, then stop."""
        self._producer.flush(self._timeout_s)
        self._reports.stop()

    def reachable(self) -> bool:
        """Tell whether a broker answers within a second. Blocks."""
        try:
            self._producer.list_topics(timeout=1.0)
        except KafkaException:
            return False
        return True

    async def append(self, entries: Sequence[LogEntry]) -> list[int | None]:
        """Append records, and return their offsets; None for those that were not acknowledged in time.

        Where too much waits for Kafka already, none is sent.
        """
        if not self._queue.enter(len(entries), sum(record.size for _, record in entries)):
            _log.error("%d records were not logged: too many wait for Kafka", len(entries))
            return [None] * len(entries)
        delivery = _Delivery(len(entries))
        for index, (topic, record) in enumerate(entries):
            self._send(topic, record, delivery, index)
        try:
            await asyncio.wait_for(delivery.settled.wait(), self._timeout_s)
        except TimeoutError:
            _log.error("Kafka acknowledges nothing for %g s", self._timeout_s)
        return list(delivery.offsets)

    def _send(self, topic: str, record: KafkaRecord, delivery: _Delivery, index: int) -> None:
        def report(error: KafkaError | None, message: Message | None) -> None:
            self._queue.leave(record.size)
            delivery.report(index, error, message)

        try:
            if not self.offer(topic, record, report):
                report(KafkaError(KafkaError._QUEUE_FULL), None)
        except KafkaException as error:  # too large, or of a partition that is not there
            report(error.args[0], None)
