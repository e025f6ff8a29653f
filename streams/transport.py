"""A Faust transport that delivers one event per fetched range of a topic partition.

Faust handles a few thousand records a second because every record travels alone. Here a fetch of up to
`MAX_RECORDS` records of one partition travels as one event whose value is the list of records. Agents read

    async for event in stream.noack().events():
        ...
        app.consumer.ack(event.message)  # after success, and only then

with `stream_wait_empty=True` and `stream_buffer_maxsize` of 2 to 4 ranges. Faust's own acknowledgement is
per offset; a range is acknowledged whole, so for range topics that bookkeeping is replaced:

* per partition a queue of ranges in offset order; only the contiguous acknowledged head is committed;
* offsets missing inside or between ranges (compaction, transaction markers) belong to the range before;
* an acknowledgement from before a rebalance or a seek moves nothing;
* a fetch that overlaps what was read already is cut.

Faust finds the transport by its entry point: broker URLs begin with ``headrace://``.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from aiokafka.consumer import fetcher
from faust.transport.drivers import aiokafka as driver
from faust.types import ConsumerMessage

MAX_RECORDS = 4000
_LOOK_S = 0.1  # without a record; one that comes is delivered at once
_FULL_S = 0.002

_range_topics: set[str] = set()
_fetch_wait_ms = 8


def register_range_topics(names: Iterable[str], fetch_wait_ms: int = 8) -> None:
    """Have these topics delivered in ranges by every app of this process.

    Parameters
    ----------
    fetch_wait_ms
        How long a broker holds back a fetch for which it has nothing. Apache Kafka answers as soon as it has
        something, the broker built into librdkafka when the time is up.
    """
    global _fetch_wait_ms
    _range_topics.update(names)
    _fetch_wait_ms = fetch_wait_ms


@dataclass
class RecordRange:
    """Offsets ``[first, next_offset)`` of one partition, delivered as one event.

    `follows` is the offset up to which the partition had been read before, None when nothing was known of it:
    all that lies between it and `first` are offsets that no consumer sees.
    """

    follows: int | None
    first: int
    next_offset: int
    generation: int
    acked: bool = False


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """Hands out the records of range topics as they are parsed: a `ConsumerRecord` of each, with topic and
    partition and sizes, would cost more than all that is done with it."""

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        return record if tp.topic in _range_topics else super()._consumer_record(tp, record)


fetcher.PartitionRecords = _PartitionRecords  # aiokafka has no other place to say so


class _RangeConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust asks for committed records only when it is itself exactly-once; aborted records must not
        # become features in any mode.
        consumer._isolation_level = "read_committed"
        # A partition that is left out of a fetch, having records in hand, waits until that fetch returns.
        # Faust lets it wait 1.5 s.
        consumer._fetch_max_wait_ms = _fetch_wait_ms
        return consumer


class RangeConsumer(driver.Consumer):  # type: ignore[misc]
    """Faust's aiokafka consumer, with ranges in place of records for the registered topics."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ranges: dict[Any, deque[RecordRange]] = defaultdict(deque)

    def _new_consumer_thread(self) -> _RangeConsumerThread:
        return _RangeConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[Any, Any]]:  # noqa: ASYNC109 (Faust asks)
        if self.flow_active and not self._get_active_partitions():  # every buffer is full
            await self.sleep(_FULL_S)  # Faust sleeps a second
            return
        # Partitions whose buffer is full at this moment are not waited for: look again soon. No buffer fills
        # while this waits.
        wait_s = _fetch_wait_ms / 1000 if self._buffered_partitions else _LOOK_S
        fetched, active = await self._wait_next_records(min(timeout, wait_s))
        generation = self.app.consumer_generation_id
        if not fetched or self.should_stop:
            return
        if not self.flow_active:  # fetched while paused: forget it, and read it again
            await self.perform_seek()
            return
        for tp, records in fetched.items():
            if active is not None and tp not in active and tp not in self._buffered_partitions:
                continue
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            size = MAX_RECORDS if tp.topic in _range_topics else 1
            for start in range(0, len(records), size):
                if not self.flow_active or self.app.consumer_generation_id != generation:
                    return
                part = records[start : start + size]
                if size == 1:
                    yield tp, self._to_message(tp, part[0])
                    continue
                part = self._unread(tp, part)
                if part:
                    yield tp, self._range_message(tp, part, generation)
                    # The caller has set this to the first offset of the range.
                    self._read_offset[tp] = part[-1].offset + 1

    def _unread(self, tp: Any, records: list[Any]) -> list[Any]:
        read_to = self._read_offset[tp]
        if read_to is None or records[0].offset >= read_to:
            return records
        return [record for record in records if record.offset >= read_to]

    def _range_message(self, tp: Any, records: list[Any], generation: int) -> Any:
        first = records[0]
        message = ConsumerMessage(
            tp.topic,
            tp.partition,
            first.offset,
            first.timestamp / 1000,
            first.timestamp_type,
            headers=None,
            key=None,
            value=records,
            checksum=None,
            tp=tp,
            generation_id=generation,
        )
        # Faust keeps a tracing span in this slot; it is the one place a message has for us.
        message.span = RecordRange(self._read_offset[tp], first.offset, records[-1].offset + 1, generation)
        self._ranges[tp].append(message.span)
        return message

    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
        if tp.topic not in _range_topics:
            await super()._add_gap(tp, offset_from, offset_to)

    def ack(self, message: Any) -> bool:
        """Acknowledge a message; for a range all of its records. False when it was acknowledged before."""
        covered = message.span
        if not isinstance(covered, RecordRange):
            return bool(super().ack(message))
        if covered.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        if covered.generation == self.app.consumer_generation_id:
            covered.acked = True
            self._n_acked += 1
        if self._waiting_for_ack is not None and not self._waiting_for_ack.done():
            self._waiting_for_ack.set_result(None)
        return True

    def release(self, message: Any) -> None:
        """Forget a message that was not processed, so that nothing waits for its acknowledgement; it stays
        uncommitted, and is read again after the next assignment."""
        self._unacked_messages.discard(message)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[Any]:
        yield from super()._filter_tps_with_pending_acks(topics)
        for tp in list(self._ranges):
            if topics is None or tp in topics or tp.topic in topics:
                yield tp

    def _new_offset(self, tp: Any) -> int | None:
        if tp.topic not in _range_topics:
            offset: int | None = super()._new_offset(tp)
            return offset
        offset, queue = None, self._ranges.get(tp)
        while queue and queue[0].acked:
            offset = queue.popleft().next_offset
        return offset

    async def perform_seek(self) -> None:
        self._ranges.clear()
        await super().perform_seek()

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._ranges.pop(tp, None)


class Transport(driver.Transport):  # type: ignore[misc]
    """What Faust instantiates for ``headrace://`` URLs."""

    Consumer = RangeConsumer
    driver_version = "headrace on " + driver.Transport.driver_version
