"""The producer SDK for asyncio: a call returns when its events are acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Message

from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.async_reports import Countdown, ReportThread
from headrace.streams.log.kafka_producer import KafkaRecord
from headrace.streams.producers.event_encoder import EventEncoder, SerializeKey, text_key
from headrace.streams.producers.event_format import EventFormat
from headrace.streams.producers.outbox import Deliveries, Outbox
from headrace.streams.producers.topic_producer import mark_records

_FULL_S = 0.01


class _Batch(Deliveries):
    """Records that are awaited together."""

    def __init__(self, topic: str, records: int) -> None:
        super().__init__(topic)
        self.settled = Countdown(records)

    def report(self, error: KafkaError | None, message: Message) -> None:
        super().report(error, message)
        self.settled.count()

    def refuse(self, records: int, error: KafkaError) -> None:
        super().refuse(records, error)
        self.settled.count(records)


class AsyncEventProducer:
    """`EventProducer` for asyncio. Calls may overlap; their events are sent in the order of the calls.

    Use it with ``async with``, or `close` it: a thread serves delivery reports. Parameters and errors are
    those of `EventProducer`.
    """

    def __init__(
        self, kafka: Kafka | Outbox, events: EventFormat, serialize_key: SerializeKey = text_key
    ) -> None:
        self._outbox = kafka if isinstance(kafka, Outbox) else Outbox(kafka)
        self._encoder = EventEncoder(events, serialize_key, self._outbox.max_bytes)
        self._lock = asyncio.Lock()
        self._partitions = 0
        self._reports = ReportThread(self._outbox, "event-producer")
        self._reports.start()
        self.topic = events.topic

    @classmethod
    def from_plan(
        cls, kafka: Kafka | Outbox, plan: Plan, source: str, serialize_key: SerializeKey = text_key
    ) -> Self:
        """Return a producer for a source of a plan; see `EventProducer.from_plan`."""
        return cls(kafka, EventFormat.of_source(plan.source(source)), serialize_key)

    async def send(self, event: Mapping[str, Any]) -> dict[int, int]:
        """Validate and send an event; return its partition and next offset once it is acknowledged."""
        record = self._encoder.encode(event)
        return await self._deliver(lambda _: [record])

    async def send_batch(self, events: Iterable[Mapping[str, Any]]) -> dict[int, int]:
        """Validate all events, send them, and return once all are acknowledged.

        Returns
        -------
        dict
            Partition to the offset behind the last event of the batch: a prefix to wait for.

        Raises
        ------
        RecordError
            When one does not fit; none is sent.
        DeliveryError
            When events of this batch were not delivered.
        """
        records = self._encoder.encode_batch(events)
        return await self._deliver(lambda _: records)

    async def mark(self, time_ms: int) -> dict[int, int]:
        """Send a time mark to every partition; see `EventProducer.mark`."""
        self._encoder.check_time("time mark", time_ms)
        return await self._deliver(lambda partitions: mark_records(time_ms, partitions))

    async def close(self) -> None:
        """Wait until every record sent is acknowledged, then stop."""
        await asyncio.to_thread(self._outbox.settle)
        await asyncio.to_thread(self._reports.stop)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _deliver(self, records_of: Callable[[int], list[KafkaRecord]]) -> dict[int, int]:
        """Send the records that are made for a number of partitions, and wait until they are acknowledged."""
        async with self._lock:
            records = records_of(await self._partition_count())
            batch = _Batch(self.topic, len(records))
            await self._hand_over(records, batch)
        await batch.settled.wait()
        self._outbox.raise_failures(batch)
        if batch.unlocated:
            await asyncio.to_thread(self._outbox.locate, batch)
        return batch.ends

    async def _partition_count(self) -> int:
        if not self._partitions:
            self._partitions = await asyncio.to_thread(self._outbox.partition_count, self.topic)
        return self._partitions

    async def _hand_over(self, records: Sequence[KafkaRecord], batch: _Batch) -> None:
        for sent, record in enumerate(records):
            try:
                while not self._outbox.offer(self.topic, record, batch.report):
                    if batch.failed:
                        raise KafkaException(KafkaError(KafkaError._QUEUE_FULL))
                    await asyncio.sleep(_FULL_S)
            except KafkaException as error:
                return batch.refuse(len(records) - sent, error.args[0])
