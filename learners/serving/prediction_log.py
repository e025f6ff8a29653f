"""The log of predictions and outcomes: appends records to topics from asyncio, and returns their offsets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message

from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.async_reports import Countdown, ReportThread
from headrace.streams.log.kafka_producer import KafkaProducer, KafkaRecord

_log = logging.getLogger(__name__)


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
    """

    def __init__(self, kafka: Kafka, timeout_s: float = 5.0) -> None:
        super().__init__(kafka, {"linger.ms": 0, "message.timeout.ms": round(timeout_s * 1000)})
        self._timeout_s = timeout_s
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

    async def append(self, topic: str, records: Sequence[KafkaRecord]) -> list[int | None]:
        """Append records, and return their offsets; None for those that were not acknowledged in time."""
        delivery = _Delivery(len(records))
        for index, record in enumerate(records):
            self._send(topic, record, delivery, index)
        try:
            await asyncio.wait_for(delivery.settled.wait(), self._timeout_s)
        except TimeoutError:
            _log.error("topic '%s' acknowledges nothing for %g s", topic, self._timeout_s)
        return list(delivery.offsets)

    def _send(self, topic: str, record: KafkaRecord, delivery: _Delivery, index: int) -> None:
        def report(error: KafkaError | None, message: Message) -> None:
            delivery.report(index, error, message)

        try:
            if not self.offer(topic, record, report):
                delivery.report(index, KafkaError(KafkaError._QUEUE_FULL), None)
        except KafkaException as error:  # too large, or of a partition that is not there
            delivery.report(index, error.args[0], None)
