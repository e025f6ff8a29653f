"""What the thread that reads holds, forgets and commits, on real Apache Kafka."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from faust.types import TP

from headrace.streams.runtime import range_reader
from headrace.streams.runtime.app import range_app
from headrace.streams.runtime.range_reader import RangeReader
from tests.support.kafka_topics import make_topic
from tests.support.ordered_producer import ordered_producer
from tests.support.waiting import PATIENCE_S, eventually_in_loop


class Member:
    """A reader with what it has taken, and what its group has told it."""

    def __init__(self, bootstrap: str, topic: str, **settings: Any) -> None:
        app = range_app(f"{topic}-group", bootstrap, 6000, 8, "range")
        given = {**app.reader_settings, "group.id": app.conf.id, **settings}
        self.failures: list[BaseException] = []
        self.reader = RangeReader(given, self, self.failures.append)
        self.partitions: set[TP] = set()
        self.taken: dict[TP, list[int]] = defaultdict(list)
        self.commit_when_revoked = False

    def readable(self, partitions: set[TP]) -> set[TP]:
        return partitions

    async def assigned(self, partitions: set[TP]) -> None:
        self.partitions = partitions

    async def revoked(self, partitions: set[TP]) -> None:
        if self.commit_when_revoked:
            await self.reader.commit({tp: self.taken[tp][-1] + 1 for tp in partitions if self.taken[tp]})
        self.partitions = set()

    async def lost(self, partitions: set[TP]) -> None:
        self.partitions = set()

    async def take(self, tp: TP, records: int) -> None:
        """Until so many have been taken of a partition, and of no other."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.taken[tp]) < records:
                found = self.reader.take({tp})
                if found is None:
                    await self.reader.wait(0.1)
                    continue
                self.taken[tp] += [message.offset() for message in found[1]]

    async def until_assigned(self, count: int) -> None:
        await eventually_in_loop(
            lambda: self.partitions, f"{count} partitions", lambda held: len(held) == count
        )


@asynccontextmanager
async def member(bootstrap: str, topic: str, **settings: Any) -> AsyncIterator[Member]:
    one = Member(bootstrap, topic, **settings)
    await one.reader.subscribe([topic])
    try:
        yield one
    finally:
        await one.reader.stop()
        assert one.failures == []


@pytest.fixture
def topic(kafka_bootstrap: str, project: str) -> str:
    make_topic(kafka_bootstrap, project, 2)
    return project


def produce(bootstrap: str, topic: str, partition: int, count: int, size: int = 20) -> None:
    producer = ordered_producer(bootstrap, {"linger.ms": 20})
    for number in range(count):
        producer.produce(topic, (b"%d" % number).ljust(size), partition=partition)
        if number % 1000 == 0:
            producer.poll(0)
    producer.flush()


@contextmanager
def committed(bootstrap: str, topic: str) -> Iterator[Any]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"{topic}-group"})
    try:
        yield lambda n: consumer.committed([TopicPartition(topic, n)], timeout=PATIENCE_S)[0].offset
    finally:
        consumer.close()


async def test_a_slow_partition_is_held_within_bounds_and_loses_nothing(kafka_bootstrap, topic, monkeypatch):
    monkeypatch.setattr(range_reader, "_HELD_RECORDS", 16_000)
    slow, quick = TP(topic, 0), TP(topic, 1)
    produce(kafka_bootstrap, topic, 0, 60_000)
    produce(kafka_bootstrap, topic, 1, 500)
    async with member(kafka_bootstrap, topic) as one:
        await one.take(quick, 500)
        await eventually_in_loop(lambda: one.reader._paused, "a pause", lambda paused: slow in paused)
        assert one.reader._held[slow].records < 8000 + range_reader.MAX_RECORDS
        produce(kafka_bootstrap, topic, 1, 500)
        await one.take(quick, 1000)  # which is not kept waiting by the other
        assert one.reader._held[slow].records < 8000 + range_reader.MAX_RECORDS
        await one.take(slow, 60_000)
    assert one.taken == {slow: list(range(60_000)), quick: list(range(1000))}


async def test_a_partition_that_moves_while_it_is_paused_is_read_on(kafka_bootstrap, topic, monkeypatch):
    monkeypatch.setattr(range_reader, "_HELD_RECORDS", 16_000)
    both = [TP(topic, 0), TP(topic, 1)]
    for tp in both:
        produce(kafka_bootstrap, topic, tp.partition, 60_000)
    async with member(kafka_bootstrap, topic) as old:
        await eventually_in_loop(lambda: old.reader._paused, "a pause", lambda paused: paused == set(both))
        async with member(kafka_bootstrap, topic) as new:
            await new.until_assigned(1)
            await old.until_assigned(1)
            for one in (old, new):
                (tp,) = one.partitions
                await one.take(tp, 60_000)
                assert one.taken[tp] == list(range(60_000))


async def test_large_records_are_held_by_their_bytes(kafka_bootstrap, topic, monkeypatch):
    monkeypatch.setattr(range_reader, "_HELD_BYTES", 2_000_000)
    big = TP(topic, 0)
    produce(kafka_bootstrap, topic, 0, 300, size=50_000)
    async with member(kafka_bootstrap, topic) as one:
        await eventually_in_loop(lambda: one.reader._paused, "a pause", lambda paused: big in paused)
        assert one.reader._held[big].records < 300
        await one.take(big, 300)
    assert one.taken[big] == list(range(300))


async def test_what_is_finished_is_committed_while_partitions_move_and_the_rest_is_read_again(
    kafka_bootstrap, topic
):
    first, second = TP(topic, 0), TP(topic, 1)
    for partition in (0, 1):
        produce(kafka_bootstrap, topic, partition, 100)
    async with member(kafka_bootstrap, topic) as old:
        await old.take(first, 100)
        await old.take(second, 100)
        old.commit_when_revoked = True
        async with member(kafka_bootstrap, topic) as new:
            await new.until_assigned(1)
            await old.until_assigned(1)
            for partition in (0, 1):
                produce(kafka_bootstrap, topic, partition, 50)
            (moved,), (stayed,) = new.partitions, old.partitions
            await new.take(moved, 50)
            await old.take(stayed, 150)
    assert new.taken == {moved: list(range(100, 150))}
    assert old.taken[stayed] == list(range(150))
    with committed(kafka_bootstrap, topic) as ask:
        assert await asyncio.to_thread(ask, moved.partition) >= 100


async def test_a_rewound_reader_begins_where_it_had_committed(kafka_bootstrap, topic):
    tp = TP(topic, 0)
    produce(kafka_bootstrap, topic, 0, 100)
    async with member(kafka_bootstrap, topic) as one:
        await one.take(tp, 100)
        await one.reader.commit({tp: 40})
        await one.reader.rewind()
        await one.take(tp, 160)
    assert one.taken[tp] == [*range(100), *range(40, 100)]


async def test_a_commit_that_fails_is_made_with_the_next_one(kafka_bootstrap, topic, monkeypatch):
    produce(kafka_bootstrap, topic, 0, 5)
    app = range_app(f"{topic}-group", kafka_bootstrap, 6000, 8, "range")
    app.conf.broker_commit_interval = 3600
    arrived: asyncio.Queue[Any] = asyncio.Queue()

    async def collect(stream: Any) -> None:
        async for event in stream.noack().events():
            await arrived.put(event.message)

    app.agent(app.topic(topic, value_serializer="raw"))(collect)
    await app.start()
    try:
        count = 0
        while count < 5:
            message = await asyncio.wait_for(arrived.get(), PATIENCE_S)
            app.consumer.ack(message)
            count += len(message.value)
        reader = app.consumer._reader
        commit = reader.commit

        async def fails(_: Any) -> None:
            raise KafkaException(KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE))

        monkeypatch.setattr(reader, "commit", fails)
        await app.consumer.commit()
        monkeypatch.setattr(reader, "commit", commit)
        with committed(kafka_bootstrap, topic) as ask:
            assert await asyncio.to_thread(ask, 0) < 0
            await app.consumer.commit()
            assert await asyncio.to_thread(ask, 0) == 5
    finally:
        await app.stop()
