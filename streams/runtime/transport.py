"""A Faust transport that delivers one event per range of records of a topic partition.

Faust handles a few thousand records a second because every record travels alone. Here what has been read of
one partition, at most so many records as the app says, travels as one event whose value is
`headrace.streams.log.records.LogRecords`. Agents read

    async for event in stream.noack().events():
        ...
        app.consumer.ack(event.message)  # after success, and only then

with `stream_wait_empty=True` and `stream_buffer_maxsize` of 2 to 4 ranges. Faust's own acknowledgement is
per offset; a range is acknowledged whole, so that bookkeeping is replaced:

* per partition a queue of ranges in offset order; only the contiguous acknowledged head is committed;
* offsets missing inside or between ranges (compaction, transaction markers) belong to the range before;
* an acknowledgement from before a rebalance or a seek moves nothing.

Faust finds the transport by its entry point: broker URLs begin with ``headrace://``.
"""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import faust
from confluent_kafka import KafkaException
from faust.transport import base, consumer
from faust.types import TP, ConsumerMessage

from headrace.streams.log.records import LogRecords
from headrace.streams.runtime.range_reader import RangeReader

_log = logging.getLogger(__name__)

_LOOK_S = 1.0  # without a record; one that comes is delivered at once
_LOG_APPEND = 1


class Owner(Protocol):
    """A process that owns partitions. All but `readable` is called in the event loop, and nothing while the
    process ends."""

    def readable(self, partitions: set[TP]) -> set[TP]:
        """Return those that this process knows how to process, of the partitions that the group gives it.

        Called before `assigned`, in the thread that reads; may block.
        """

    def assigned(self, partitions: set[TP]) -> None:
        """Own these and no others; none of their ranges has been delivered yet."""

    def revoked(self, partitions: set[TP]) -> None:
        """Give these up; the ranges in hand have been acknowledged or released."""

    def lost(self, partitions: set[TP]) -> None:
        """Drop these, which others have: finish, write and acknowledge nothing of them any more."""


class RangeApp(faust.App):  # type: ignore[misc]
    """A Faust app on this transport.

    Parameters
    ----------
    reader_settings
        Of confluent-kafka's consumer, but for the group.
    on_failure
        Called, in any thread, when nothing can be read any more.
    range_records
        The most records of a range; None for `headrace.streams.runtime.range_reader.MAX_RECORDS`.
    owner
        Gets the partitions that come and go; None where nobody keeps anything of them.
    transactional
        Whether the owner commits offsets itself, in transactions, before it acknowledges.
    """

    def __init__(
        self,
        *args: Any,
        reader_settings: Mapping[str, Any],
        on_failure: Callable[[BaseException], None],
        range_records: int | None = None,
        owner: Owner | None = None,
        transactional: bool = False,
        **options: Any,
    ) -> None:
        self.range_records, self.owner = range_records, owner
        self.transactional = transactional
        self.reader_settings, self.on_failure = reader_settings, on_failure
        super().__init__(*args, **options)


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


class RangeConsumer(consumer.Consumer):  # type: ignore[misc]
    """Faust's consumer, reading with confluent-kafka, with ranges in place of records."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ranges: dict[TP, deque[RecordRange]] = defaultdict(deque)
        self._assigned: set[TP] = set()
        self._delivers = False  # whether anything has been delivered since the last assignment or seek

    async def on_start(self) -> None:
        settings = {**self.app.reader_settings, "group.id": self.app.conf.id}
        self._reader = RangeReader(settings, self, self.app.on_failure, self.app.range_records)

    async def on_stop(self) -> None:
        await super().on_stop()
        await self._reader.stop()

    async def subscribe(self, topics: Iterable[str]) -> None:
        await self._reader.subscribe(topics)

    def readable(self, partitions: set[TP]) -> set[TP]:
        """Return those to read of an assignment; called by the reader, in its thread."""
        return partitions if self.app.owner is None else self.app.owner.readable(partitions)

    async def revoked(self, partitions: set[TP]) -> None:
        """Revoke partitions, once the ranges in hand have been finished; called by the reader."""
        self.app.on_rebalance_start()
        await self.on_partitions_revoked(partitions)
        if self.app.owner is not None and not self.app.should_stop:
            self.app.owner.revoked(partitions)
        self._assigned = set()

    async def lost(self, partitions: set[TP]) -> None:
        """Drop partitions that the group has given to others; called by the reader."""
        self.app.on_rebalance_start()
        self.app.consumer_generation_id += 1  # what is in hand is of no use any more
        for message in list(self._unacked_messages):
            self.release(message)
        self._ranges.clear()
        if self.app.owner is not None and not self.app.should_stop:
            self.app.owner.lost(partitions)
        await self.on_partitions_revoked(partitions)
        self._assigned = set()

    async def assigned(self, partitions: set[TP]) -> None:
        """Begin an assignment, which is all that this member has; called by the reader."""
        if not self.app.rebalancing:  # nothing was there to be taken away
            self.app.on_rebalance_start()
        # Faust stops the flow where partitions are taken away. A member that had none would go on, and lose
        # the ranges that it is given before everything is in place.
        self.stop_flow()
        self.app.flow_control.suspend()
        self._assigned, self._delivers = partitions, False
        self.app.consumer_generation_id += 1
        if self.app.owner is not None and not self.app.should_stop:
            self.app.owner.assigned(partitions)
        await self.on_partitions_assigned(partitions, self.app.consumer_generation_id)

    @property
    def member(self) -> Any:
        """Metadata of this member as of its assignment, for `TransactionalProducer.commit`."""
        return self._reader.member

    def committed_offset(self, tp: TP) -> int | None:
        """Return the group's offset of a partition of this member; None where there is none."""
        return self._reader.committed.get(tp)

    def past_gap(self, topic: str, partition: int, offset: int) -> int:
        """See `RangeReader.past_gap`."""
        return self._reader.past_gap(TP(topic, partition), offset)

    def assignment(self) -> set[TP]:
        return set(self._assigned)

    def on_buffer_drop(self, tp: TP) -> None:
        super().on_buffer_drop(tp)
        self._reader.wake()

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        super().resume_partitions(tps)
        self._reader.wake()

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109 (Faust asks)
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        generation = self.app.consumer_generation_id
        while self.flow_active and not self.should_stop and generation == self.app.consumer_generation_id:
            taken = self._reader.take(self._get_active_partitions())
            if taken is None:
                await self._reader.wait(_LOOK_S)
                return
            tp, messages = taken
            message = self._message(tp, LogRecords.of_messages(messages))
            yield tp, message
            if generation == self.app.consumer_generation_id:
                # The caller has set this to the first offset of the range.
                self._read_offset[tp] = message.span.next_offset

    def _message(self, tp: TP, records: LogRecords) -> Any:
        first, next_offset = int(records.offsets[0]), int(records.offsets[-1]) + 1
        generation = self.app.consumer_generation_id
        message = ConsumerMessage(
            tp.topic,
            tp.partition,
            first,
            int(records.appended[0]) / 1000,
            _LOG_APPEND,
            headers=None,
            key=None,
            value=records,
            checksum=None,
            tp=tp,
            generation_id=generation,
        )
        # Faust keeps a tracing span in this slot; it is the one place a message has for us.
        message.span = RecordRange(self._read_offset[tp], first, next_offset, generation)
        self._ranges[tp].append(message.span)
        self._delivers = True
        return message

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Do nothing: gaps belong to the range before them."""

    def ack(self, message: Any) -> bool:
        """Acknowledge a range, all of its records. False when it was acknowledged before."""
        covered: RecordRange = message.span
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

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        for tp in list(self._ranges):
            if topics is None or tp in topics or tp.topic in topics:
                yield tp

    def _new_offset(self, tp: TP) -> int | None:
        """Return the end of the contiguous acknowledged head; None without one."""
        offset = None
        for one in self._ranges.get(tp, ()):
            if not one.acked:
                break
            offset = one.next_offset
        return offset

    def _should_commit(self, tp: TP, offset: int) -> bool:
        return True  # what has been committed is in no queue any more

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit offsets; False when Kafka refuses them. They are committed with the next ones then."""
        try:
            if self.app.transactional:
                self._reader.committed.update(offsets)
            else:
                await self._reader.commit(offsets)
        except KafkaException as error:
            _log.warning("offsets were not committed: %s", error)
            return False
        for tp, offset in offsets.items():
            queue = self._ranges.get(tp)
            while queue and queue[0].acked and queue[0].next_offset <= offset:
                queue.popleft()
        return True

    async def perform_seek(self) -> None:
        self._ranges.clear()
        await super().perform_seek()

    async def seek_to_committed(self) -> Mapping[TP, int | None]:
        if self._delivers:
            await self._reader.rewind()
            self._delivers = False
        return dict(self._reader.committed)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._ranges.pop(tp, None)

    def close(self) -> None:
        """Do nothing. Faust calls this for a rebalance while it stops, when the reader ends by itself."""

    def _unused(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("the range transport has no tables, and creates no topics")

    _getmany = _to_message = _new_topicpartition = _seek = seek_wait = position = _unused
    highwaters = earliest_offsets = highwater = topic_partitions = key_partition = create_topic = _unused
    verify_recovery_event_path = _unused


class Transport(base.Transport):  # type: ignore[misc]
    """The transport of ``headrace://`` URLs. Its producer sends nothing: processes have their own."""

    Consumer = RangeConsumer
    driver_version = "headrace"
