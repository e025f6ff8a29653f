"""The range transport's safety rules, each on real Apache Kafka, with a Faust app in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from headrace.streams.runtime import range_reader
from headrace.streams.runtime.app import range_app
from tests.support.kafka_topics import make_topic
from tests.support.ordered_producer import ordered_producer
from tests.support.waiting import PATIENCE_S


class App:
    """Collects ranges of a topic and acknowledges them when it is told to."""

    def __init__(self, bootstrap: str, topic: str, most: int) -> None:
        self.bootstrap, self.topic, self.most = bootstrap, topic, most
        self.ranges: list[Any] = []
        self.arrived = asyncio.Condition()
        self.app = range_app(f"{topic}-group", bootstrap, 6000, 8, "range")
        self.app.conf.stream_wait_empty = False
        self.app.conf.broker_commit_interval = 3600
        self.app.agent(self.app.topic(topic, value_serializer="raw"))(self._collect)

    async def _collect(self, stream: Any) -> None:
        async for event in stream.noack().events():
            async with self.arrived:
                self.ranges.append(event.message)
                self.arrived.notify_all()

    async def wait(self, records: int) -> None:
        async with self.arrived:
            await asyncio.wait_for(self.arrived.wait_for(lambda: len(self.offsets()) >= records), PATIENCE_S)

    def offsets(self) -> list[int]:
        return [record.offset for message in self.ranges for record in message.value]

    async def ack_and_commit(self, *numbers: int) -> int:
        """Acknowledge ranges by number, commit, and say what the group's committed offset is now."""
        for number in numbers:
            self.app.consumer.ack(self.ranges[number])
        await self.app.consumer.commit()
        return await asyncio.to_thread(self.committed)

    def committed(self) -> int:
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.app.conf.id})
        try:
            return int(consumer.committed([TopicPartition(self.topic, 0)], timeout=PATIENCE_S)[0].offset)
        finally:
            consumer.close()


@asynccontextmanager
async def running(monkeypatch: Any, bootstrap: str, topic: str, most: int) -> AsyncIterator[App]:
    monkeypatch.setattr(range_reader, "MAX_RECORDS", most)
    app = App(bootstrap, topic, most)
    await app.app.start()
    try:
        yield app
    finally:
        await app.app.stop()


@pytest.fixture
def topic(kafka_bootstrap: str, project: str) -> str:
    make_topic(kafka_bootstrap, project, 1)
    return project


def produce(bootstrap: str, topic: str, count: int) -> None:
    producer = ordered_producer(bootstrap)
    for number in range(count):
        producer.produce(topic, b"%d" % number, partition=0)
    producer.flush()


async def test_only_the_contiguous_acknowledged_head_is_committed(monkeypatch, kafka_bootstrap, topic):
    produce(kafka_bootstrap, topic, 9)
    async with running(monkeypatch, kafka_bootstrap, topic, 3) as app:
        await app.wait(9)
        assert app.offsets() == list(range(9))
        nothing = await app.ack_and_commit(1)
        assert nothing < 0  # the first range is not acknowledged, so there is no committed offset
        assert await app.ack_and_commit(0) == 6
        assert await app.ack_and_commit(2) == 9


async def test_an_acknowledgement_from_before_a_seek_moves_nothing(monkeypatch, kafka_bootstrap, topic):
    produce(kafka_bootstrap, topic, 6)
    async with running(monkeypatch, kafka_bootstrap, topic, 3) as app:
        await app.wait(6)
        old = app.ranges[1]
        await app.app.consumer.perform_seek()
        app.app.consumer.ack(old)
        await app.app.consumer.commit()
        assert await asyncio.to_thread(app.committed) < 0


async def test_an_acknowledgement_from_an_older_generation_moves_nothing(monkeypatch, kafka_bootstrap, topic):
    produce(kafka_bootstrap, topic, 3)
    async with running(monkeypatch, kafka_bootstrap, topic, 3) as app:
        await app.wait(3)
        app.ranges[0].span.generation -= 1
        assert await app.ack_and_commit(0) < 0


async def test_transactions_leave_gaps_that_are_committed_past_and_aborted_records_never_arrive(
    monkeypatch, kafka_bootstrap, topic
):
    def transact(commits: list[bool]) -> None:
        settings = {"bootstrap.servers": kafka_bootstrap, "transactional.id": topic}
        producer = Producer(settings)
        producer.init_transactions(PATIENCE_S)
        for number, commit in enumerate(commits):
            producer.begin_transaction()
            for part in range(2):
                producer.produce(topic, b"%d.%d %d" % (number, part, commit), partition=0)
            producer.flush()
            (producer.commit_transaction if commit else producer.abort_transaction)(30)

    await asyncio.to_thread(transact, [True, False, True, False, True])
    # Two records and a marker each:  0 1 M | 3 4 M (aborted) | 6 7 M | 9 10 M (aborted) | 12 13 M
    async with running(monkeypatch, kafka_bootstrap, topic, 3) as app:
        await app.wait(6)
        assert app.offsets() == [0, 1, 6, 7, 12, 13]
        assert await app.ack_and_commit(*range(len(app.ranges))) == 14
    await asyncio.to_thread(transact, [True])
    async with running(monkeypatch, kafka_bootstrap, topic, 3) as again:
        await again.wait(2)
        assert again.offsets() == [15, 16]
