"""Records that nobody should send to a topic, made of those that are in it, from a seed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from confluent_kafka import Producer

from headrace.streams.log.reader import read_log
from headrace.streams.log.records import headers_of
from tests.support.fuzz import TIMES, Fuzz
from tests.support.waiting import PATIENCE_S

Headers = list[tuple[str, bytes | None]]
_SAMPLES = 200  # of a partition, its first ones
_ALIKE = (b"0123456789", b"abcdef", b"ghijklmnopqrstuvwxyz")
_TIME, _PLACE = "headrace.time_ms", "headrace.partition"


class Sample(NamedTuple):
    """A record that a topic has."""

    key: bytes | None
    value: bytes | None
    headers: Headers


class TopicFuzz:
    """Sends to topics what is in them, damaged, mixed and out of time.

    Parameters
    ----------
    bootstrap
        The brokers.
    topics
        Topic to its number of partitions.
    seed
        Another one sends other records.
    """

    def __init__(self, bootstrap: str, topics: dict[str, int], seed: int) -> None:
        self._bootstrap, self._topics = bootstrap, topics
        self._fuzz = Fuzz(seed)
        self._chance = self._fuzz.chance
        self._samples = {name: _samples(bootstrap, name, count) for name, count in topics.items()}
        self._all = [sample for samples in self._samples.values() for sample in samples]

    def send(
        self, topic: str, count: int, timestamps: Sequence[int] = (0,), is_compacted: bool = False
    ) -> None:
        """Send so many records to a topic, over its partitions.

        Parameters
        ----------
        timestamps
            Of the records, epoch milliseconds; 0 is now.
        is_compacted
            Whether each must have a key: such a topic takes no other, and nothing that is sent with it.
        """
        producer = Producer(
            {
                "bootstrap.servers": self._bootstrap,
                "linger.ms": 50,
                "batch.num.messages": 1000,
                "message.max.bytes": 8 << 20,
                "queue.buffering.max.kbytes": 64 << 10,
            }
        )
        for key, value, headers in self.records(topic, count):
            if key is None and is_compacted:
                key = b""
            while True:
                try:
                    producer.produce(
                        topic,
                        value,
                        key,
                        self._chance.randrange(self._topics[topic]),
                        timestamp=self._chance.choice(timestamps),
                        headers=headers,
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
        assert producer.flush(PATIENCE_S) == 0

    def records(self, topic: str, count: int) -> Iterator[Sample]:
        """Yield records for a topic."""
        for _ in range(count):
            is_own = self._samples[topic] and self._chance.random() < 0.95
            good = self._chance.choice(self._samples[topic] if is_own else self._all)
            yield Sample(self._key(good.key), self._value(good.value), self._headers(good.headers))

    def _value(self, good: bytes | None) -> bytes | None:
        draw = self._chance.random()
        if draw < 0.0002:
            return (good or b"{") * 2000
        if not good:
            return good if draw < 0.5 else self._chance.randbytes(9)
        if draw < 0.3:
            return self._other(good)
        return self._fuzz.json_of(good) if good[:1] == b"{" else self._fuzz.bytes_of(good)

    def _other(self, good: bytes) -> bytes:
        """The same with other digits and letters: often a record that could be true."""
        made = bytearray(good)
        for _ in range(self._chance.randrange(1, 6)):
            place = self._chance.randrange(len(made))
            alike = next((kind for kind in _ALIKE if made[place] in kind), None)
            if alike:
                made[place] = self._chance.choice(alike)
        return bytes(made)

    def _key(self, good: bytes | None) -> bytes | None:
        draw = self._chance.random()
        if draw < 0.6:
            return good
        return None if draw < 0.7 else self._fuzz.bytes_of(good or b"key")

    def _headers(self, good: Headers) -> Headers:
        draw = self._chance.random()
        if draw < 0.6:
            return good
        if draw < 0.9:
            return self._fuzz.headers()
        now_ms = time.time_ns() // 1_000_000 + self._chance.randrange(-200_000, 200_000)
        place = [(_PLACE, self._chance.choice([b"0/2", b"1/2", b"0/1"]))] if draw < 0.95 else []
        return [(_TIME, b"%d" % now_ms), *place]


def odd_times(now_ms: int) -> list[int]:
    """Timestamps as clocks that are wrong give them, and right ones."""
    return [0, 0, 0, now_ms, now_ms + 20_000, now_ms + 3_300_000, *(max(each, -(2**62)) for each in TIMES)]


def _samples(bootstrap: str, topic: str, partitions: int) -> list[Sample]:
    """The first records of a topic."""
    logs = (read_log(bootstrap, topic, partition) for partition in range(partitions))
    messages = (message for log in logs for message in islice(log, _SAMPLES))
    return [Sample(message.key(), message.value(), headers_of(message)) for message in messages]
