"""The inputs of the trainer, in turn: a backlog in one of them keeps no other waiting.

librdkafka has one queue for all partitions, and once that is full, it fetches of whichever comes first. So
messages are held here, by partition. A partition from which they are taken too slowly is paused until there
is room again.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from confluent_kafka import Consumer, Message, TopicPartition

from headrace.streams.log.transactions import Place

_AT_ONCE: Final = 500  # taken of one partition, or of librdkafka
_HELD_RECORDS, _HELD_BYTES = 20_000, 32 * 1024**2  # of all partitions; each may have its share
_RESUMED_AT = 0.25  # of its share: a pause throws away what had been fetched ahead


class _Held:
    """Messages held of one partition, and the bytes of their values."""

    def __init__(self) -> None:
        self.messages: deque[Message] = deque()
        self.size = 0

    def put(self, message: Message) -> None:
        self.messages.append(message)
        self.size += len(message)

    def take(self) -> list[Message]:
        taken = [self.messages.popleft() for _ in range(min(_AT_ONCE, len(self.messages)))]
        self.size -= sum(map(len, taken))
        return taken


class FairReader:
    """Reads partitions from given offsets on.

    Parameters
    ----------
    consumer
        Not in use yet.
    starts
        Every partition, with its offset.
    """

    def __init__(self, consumer: Consumer, starts: list[TopicPartition]) -> None:
        self._consumer, self._partitions = consumer, max(len(starts), 1)
        self._held: dict[Place, _Held] = {}  # where something is, and who was taken from last comes last
        self._paused: set[Place] = set()
        self._unplaced: list[Message] = []  # errors that are of no partition
        consumer.assign(starts)

    def take(self, timeout_s: float) -> list[Message]:
        """Return the next messages of one partition; none when none have come in time.

        Errors are among them, and the end of a partition is one, as of confluent-kafka's consumer.
        """
        self._read(0.0 if self._held or self._unplaced else timeout_s)
        if self._unplaced:
            unplaced, self._unplaced = self._unplaced, []
            return unplaced
        if not self._held:
            return []
        place = next(iter(self._held))
        held = self._held.pop(place)
        taken = held.take()
        if held.messages:
            self._held[place] = held  # behind the others now
        if place in self._paused and self._has_room(held, _RESUMED_AT):
            self._paused.discard(place)
            self._consumer.resume([TopicPartition(*place)])
        return taken

    def _read(self, timeout_s: float) -> None:
        """Take what librdkafka has, so that it fetches of all; a partition that is paused adds nothing."""
        first = self._consumer.poll(timeout_s)
        while first is not None:
            for message in (first, *self._consumer.consume(_AT_ONCE, 0)):
                self._hold(message)
            first = self._consumer.poll(0)

    def _hold(self, message: Message) -> None:
        topic, partition = message.topic(), message.partition()
        if topic is None or partition is None:
            self._unplaced.append(message)
            return
        place: Place = (topic, partition)
        held = self._held.setdefault(place, _Held())
        held.put(message)
        if place not in self._paused and not self._has_room(held, 1.0):
            self._paused.add(place)
            self._consumer.pause([TopicPartition(*place)])

    def _has_room(self, held: _Held, share: float) -> bool:
        """Whether a partition holds less than a share of what one may hold."""
        share /= self._partitions
        most = max(_HELD_RECORDS * share, _AT_ONCE)
        return len(held.messages) < most and held.size < _HELD_BYTES * share
