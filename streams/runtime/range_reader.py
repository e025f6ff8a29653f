"""Reads the topics of a consumer group in a thread of its own, and holds messages until they are taken.

librdkafka fetches and unpacks in C. Messages are held per partition. A partition from which they are taken
too slowly is paused until there is room again: it neither fills the memory nor keeps others waiting.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import groupby
from queue import SimpleQueue
from typing import Any, Protocol

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from faust.types import TP

from headrace.schemas.errors import ServiceUnavailable
from headrace.streams.connections.kafka_admin import REQUEST_S
from headrace.streams.log.group_offsets import checked

_log = logging.getLogger(__name__)

MAX_RECORDS = 4000  # of a range, where nobody asks for more
_HELD_RECORDS, _HELD_BYTES = 128_000, 64 * 1024**2  # of all partitions; each may have its share
_RESUMED_AT = 0.25  # of its share: a pause throws away what had been fetched ahead, so there must be few
_POLL_S, _PAUSED_POLL_S = 0.1, 0.005
_RETRY_S = 0.5


class Group(Protocol):
    """Callbacks for the partitions of this member; all but `readable` run in the event loop, and are waited
    for."""

    def readable(self, partitions: set[TP]) -> set[TP]:
        """Return those to read, of the partitions that the group gives this member. May block."""

    async def revoked(self, partitions: set[TP]) -> None: ...
    async def lost(self, partitions: set[TP]) -> None: ...
    async def assigned(self, partitions: set[TP]) -> None: ...


class _Held:
    """Messages held of one partition, in the parts in which they came."""

    def __init__(self) -> None:
        self._parts: deque[list[Message]] = deque()
        self.records = self.size = 0  # number and bytes

    def put(self, part: list[Message]) -> None:
        self._parts.append(part)
        self.records += len(part)
        self.size += sum(map(len, part))

    def take(self, most: int) -> list[Message]:
        """Take the first parts: as many as fit into a range together, but at least one."""
        taken = self._parts.popleft()
        while self._parts and len(taken) + len(self._parts[0]) <= most:
            taken += self._parts.popleft()
        self.records -= len(taken)
        self.size -= sum(map(len, taken))
        return taken


class RangeReader:
    """One member of a consumer group.

    Parameters
    ----------
    settings
        Of confluent-kafka's consumer.
    group
        Told of partitions that come and go.
    on_failure
        Called when nothing can be read any more; in the thread that reads.
    most_records
        Of a range, if not `MAX_RECORDS`, and not fewer.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        group: Group,
        on_failure: Callable[[BaseException], None],
        most_records: int | None = None,
    ) -> None:
        self._most = most_records or MAX_RECORDS
        self._consumer = Consumer({**settings, "error_cb": _log_error}, logger=_log)
        self._group, self._on_failure = group, on_failure
        self._held: dict[TP, _Held] = {}  # where something is, and who was taken from last comes last
        self._lock = threading.Lock()  # of what is held
        self._paused: set[TP] = set()
        self.committed: dict[TP, int | None] = {}  # of the partitions assigned; None where nothing is
        self.member: Any = None  # the group's metadata of this member, as of the last assignment
        self._next: dict[TP, int] = {}  # behind the last record that was read
        self._gaps: dict[TP, tuple[int, int]] = {}  # offsets at the end of a partition that hold no record
        self._calls: SimpleQueue[tuple[Callable[[], object], Future[None]]] = SimpleQueue()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Join the group, or change the topics of the subscription."""
        self._consumer.subscribe(
            sorted(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="kafka-reader", daemon=True)
            self._thread.start()

    async def stop(self) -> None:
        """Leave the group."""
        self._stopping = True
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def wake(self) -> None:
        """End a `wait`: more partitions are wanted now."""
        self._arrived.set()

    async def wait(self, timeout_s: float) -> None:
        """Wait until something has arrived since the last `take`, or until `wake` or the time-out."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), timeout_s)

    def take(self, wanted: Collection[TP]) -> tuple[TP, list[Message]] | None:
        """Take the next messages of one of these partitions, at most a range, each partition in its turn."""
        self._arrived.clear()
        with self._lock:
            tp = next((tp for tp in self._held if tp in wanted), None)
            if tp is None:
                return None
            held = self._held.pop(tp)
            taken = held.take(self._most)
            if held.records:
                self._held[tp] = held  # behind the others now
            return tp, taken

    def past_gap(self, tp: TP, offset: int) -> int:
        """The end of the partition when no record is left from this offset on, else the offset itself.

        The last offsets may hold markers of transactions, or what was aborted. Safe to call from any thread.
        """
        first, end = self._gaps.get(tp, (offset, offset))
        return end if first <= offset < end else offset

    async def commit(self, offsets: Mapping[TP, int]) -> None:
        """Commit next offsets.

        Raises
        ------
        KafkaException
            When Kafka does not take them, such as from a member that the group has given up.
        """
        wanted = [TopicPartition(*tp, offset) for tp, offset in offsets.items()]
        await self._ask(lambda: checked(self._consumer.commit(offsets=wanted, asynchronous=False)))
        self.committed.update((tp, at) for tp, at in offsets.items() if tp in self.committed)

    async def rewind(self) -> None:
        """Drop held messages, and read again from the committed offsets."""
        await self._ask(self._assign)

    async def _ask(self, function: Callable[[], object]) -> None:
        """Have the reading thread do it: confluent-kafka lets one thread at a time at a consumer, and nearly
        always that is the one that polls."""
        done: Future[None] = Future()
        self._calls.put((function, done))
        await asyncio.wrap_future(done)

    def _run(self) -> None:
        try:
            while not self._stopping:
                while not self._calls.empty():
                    _answer(*self._calls.get())
                self._read()
        except BaseException as error:
            self._on_failure(error)
        finally:
            self._consumer.close()

    def _read(self) -> None:
        first = self._consumer.poll(_PAUSED_POLL_S if self._paused else _POLL_S)
        if first is not None:
            self._hold([first, *self._consumer.consume(MAX_RECORDS - 1, 0)])
        self._resume()

    def _hold(self, messages: list[Message]) -> None:
        for where, found in groupby(messages, _place):
            if where is None:
                for message in found:
                    self._judge(message)
                continue
            part, tp = list(found), TP(*where)
            self._next[tp] = (part[-1].offset() or 0) + 1
            self._gaps.pop(tp, None)
            with self._lock:
                held = self._held.setdefault(tp, _Held())
                held.put(part)
                has_room = self._has_room(held, 1.0)
            if not has_room:
                self._pause(tp)
        self._loop.call_soon_threadsafe(self._arrived.set)

    def _judge(self, message: Message) -> None:
        """Note the end of a partition; any other message without a record is an error."""
        error = message.error()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            tp = TP(message.topic(), message.partition())
            self._gaps[tp] = (self._next.get(tp, 0), message.offset() or 0)
            return
        if error is not None and error.fatal():
            raise KafkaException(error)
        _log.warning("Kafka: %s", error)

    def _has_room(self, held: _Held, share: float) -> bool:
        """Whether a partition holds less than a share of what one may hold."""
        share /= max(len(self.committed), 1)
        most = max(_HELD_RECORDS * share, MAX_RECORDS)
        return held.records < most and held.size < _HELD_BYTES * share

    def _pause(self, tp: TP) -> None:
        if tp not in self._paused:
            self._paused.add(tp)
            self._consumer.pause([TopicPartition(*tp)])

    def _resume(self) -> None:
        for tp in list(self._paused):
            with self._lock:
                has_room = self._has_room(self._held.get(tp, _Held()), _RESUMED_AT)
            if has_room:
                self._paused.discard(tp)
                self._consumer.resume([TopicPartition(*tp)])

    def _on_revoke(self, _: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self._forget()
        self._tell(self._group.revoked(_places(partitions)))

    def _on_lost(self, _: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """Drop partitions that others have already, or will have at once."""
        self._forget()
        self._tell(self._group.lost(_places(partitions)))

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        readable: set[TP] = set()
        while not self._stopping:
            try:
                readable = self._group.readable(_places(partitions))
                self.committed = self._read_committed(readable)
                break
            except (KafkaException, ServiceUnavailable) as error:
                _log.warning("the group's offsets cannot be read, trying again: %s", error)
                threading.Event().wait(_RETRY_S)
        self._assign()
        self.member = self._consumer.consumer_group_metadata()
        self._tell(self._group.assigned(readable))

    def _assign(self) -> None:
        self._forget()
        starts = [(tp, OFFSET_BEGINNING if at is None else at) for tp, at in self.committed.items()]
        self._next = {tp: at or 0 for tp, at in self.committed.items()}
        self._gaps.clear()
        self._consumer.assign([TopicPartition(*tp, at) for tp, at in starts])

    def _forget(self) -> None:
        with self._lock:
            self._held.clear()
        # librdkafka keeps a partition paused that is taken away and given back.
        self._consumer.resume([TopicPartition(*tp) for tp in self._paused])
        self._paused.clear()

    def _read_committed(self, partitions: set[TP]) -> dict[TP, int | None]:
        if not partitions:
            return {}
        wanted = [TopicPartition(*tp) for tp in partitions]
        found = checked(self._consumer.committed(wanted, timeout=REQUEST_S))
        return {TP(one.topic, one.partition): one.offset if one.offset >= 0 else None for one in found}

    def _tell(self, what: Coroutine[Any, Any, None]) -> None:
        """Have the event loop do it, and answer its calls until it has; one that ends does not listen."""
        if self._stopping:
            what.close()
            return
        told = asyncio.run_coroutine_threadsafe(what, self._loop)
        told.add_done_callback(lambda _: self._calls.put((lambda: None, Future())))
        while not told.done():
            _answer(*self._calls.get())
        told.result()


def _answer(function: Callable[[], object], done: Future[None]) -> None:
    try:
        function()
    except Exception as error:
        done.set_exception(error)
    else:
        done.set_result(None)


def _place(message: Message) -> tuple[str, int] | None:
    """Return topic and partition; None for an event that is no record."""
    return None if message.error() is not None else (message.topic(), message.partition())


def _places(partitions: Iterable[TopicPartition]) -> set[TP]:
    return {TP(one.topic, one.partition) for one in partitions}


def _log_error(error: KafkaError) -> None:
    _log.warning("Kafka: %s", error.str())
