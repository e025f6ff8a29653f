"""The producer of the stream processes, on real Apache Kafka."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from benchmarks.streams.topic_log import create, delete_topics
from headrace.schemas.errors import ServiceUnavailable
from headrace.streams.log import producer as output
from headrace.streams.log import transactions
from headrace.streams.log.offset_producer import OffsetProducer
from headrace.streams.log.producer import LogProducer
from headrace.streams.log.reader import end_offset, open_consumer, read_log
from headrace.streams.log.transactions import Records, TransactionalProducer
from tests.support.waiting import PATIENCE_S, eventually

RECORDS = [(b"%d" % n, b"value %d" % n if n % 3 else None) for n in range(2000)]


@pytest.fixture
def topic(kafka_bootstrap: str, project: str):
    create(kafka_bootstrap, {project: {}})
    yield project
    delete_topics(kafka_bootstrap, project)


@pytest.mark.parametrize("room", [7, 1000, 500_000])
def test_many_records_arrive_in_their_order_however_little_room_there_is(
    kafka_bootstrap: str, topic: str, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setattr(output, "_QUEUED", room)
    monkeypatch.setattr(output, "_AT_ONCE", 600)
    producer = LogProducer(kafka_bootstrap)
    producer.send(topic, 0, b"first", b"1")
    producer.send_all(topic, 0, RECORDS)
    producer.send(topic, 0, b"last", b"1")
    producer.flush_blocking()
    arrived = [(message.key(), message.value()) for message in read_log(kafka_bootstrap, topic, 0)]
    assert arrived == [(b"first", b"1"), *RECORDS, (b"last", b"1")]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_record_that_is_too_large_is_no_silent_loss(kafka_bootstrap: str, topic: str, place: int) -> None:
    records = [(b"a", b"1"), (b"b", b"1")]
    records.insert(place, (b"large", bytes(9 * 1024**2)))
    with pytest.raises(KafkaException, match="too large"):
        LogProducer(kafka_bootstrap).send_all(topic, 0, records)


def test_a_record_that_cannot_be_delivered_is_told_of_at_the_flush(kafka_bootstrap: str, topic: str) -> None:
    producer = LogProducer(kafka_bootstrap)
    producer.send_all(f"{topic}-missing", 77, RECORDS[:3])
    with pytest.raises(ServiceUnavailable, match="did not take a record"):
        producer.flush_blocking()


def test_the_producer_of_the_join_still_knows_where_a_partition_ends(
    kafka_bootstrap: str, topic: str
) -> None:
    producer = OffsetProducer(kafka_bootstrap, "join", 10_000)
    member = open_consumer(kafka_bootstrap).consumer_group_metadata()
    producer.commit([Records(topic, 0, RECORDS)], {}, member)
    assert producer.end(topic, 0, 0) == len(RECORDS)
    behind_the_marker = len(RECORDS) + 1
    eventually(
        lambda: end_offset(kafka_bootstrap, topic, 0), "the marker", lambda end: end == behind_the_marker
    )


def test_transactions_one_behind_the_other_stay_in_order(kafka_bootstrap: str, topic: str) -> None:
    """Producers take turns: the second does not wait for the markers of the first."""
    producer, group = OffsetProducer(kafka_bootstrap, "join", 10_000), f"{topic}-group"
    consumer = Consumer({"bootstrap.servers": kafka_bootstrap, "group.id": group})
    for n in range(30):
        producer.commit(
            [Records(topic, 0, [RECORDS[n]])], {(topic, 1): n + 1}, consumer.consumer_group_metadata()
        )
    log = read_log(kafka_bootstrap, topic, 0, until=end_offset(kafka_bootstrap, topic, 0, committed=False))
    assert [(message.key(), message.value()) for message in log] == RECORDS[:30]
    (committed,) = consumer.committed([TopicPartition(topic, 1)], PATIENCE_S)
    assert committed.offset == 30
    consumer.close()


def test_it_asks_where_a_partition_ends_when_kafka_did_not_tell(kafka_bootstrap: str, topic: str) -> None:
    other, producer = LogProducer(kafka_bootstrap), OffsetProducer(kafka_bootstrap, "join", 10_000)
    other.send_all(topic, 0, RECORDS)
    other.flush_blocking()
    untold = SimpleNamespace(topic=lambda: topic, partition=lambda: 0, offset=lambda: None)
    producer._delivered(None, untold)
    assert producer.end(topic, 0, 0) == len(RECORDS)


def _never_returns(*_: Any) -> None:
    threading.Event().wait()


class Standing:
    """A producer of which one request never returns."""

    def __init__(self, producer: Any, request: str) -> None:
        self._producer, self._request = producer, request

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._producer, name)
        return _never_returns if name == self._request else found

    def __len__(self) -> int:
        return len(self._producer)


@pytest.mark.parametrize("request_", ["init_transactions", "send_offsets_to_transaction"])
def test_a_request_that_never_returns_is_made_by_another_producer(
    kafka_bootstrap: str, topic: str, monkeypatch: pytest.MonkeyPatch, request_: str
) -> None:
    """As librdkafka's do after the coordinator of a group went away and came back, now and then."""
    monkeypatch.setattr(transactions, "_GRACE_S", 1)
    monkeypatch.setattr(transactions, "REQUEST_S", 1)
    producer = TransactionalProducer(kafka_bootstrap, "stuck", 1_500)
    producer._producer = Standing(producer._producer, request_)
    consumer = Consumer({"bootstrap.servers": kafka_bootstrap, "group.id": f"{topic}-group"})
    member = consumer.consumer_group_metadata()
    producer.commit([Records(topic, 0, RECORDS)], {(topic, 1): 7}, member)
    log = read_log(kafka_bootstrap, topic, 0, until=end_offset(kafka_bootstrap, topic, 0, committed=False))
    assert [(message.key(), message.value()) for message in log] == RECORDS
    (committed,) = consumer.committed([TopicPartition(topic, 1)], PATIENCE_S)
    assert committed.offset == 7
    consumer.close()


def test_a_commit_that_never_returns_is_not_made_twice(
    kafka_bootstrap: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "_GRACE_S", 1)
    monkeypatch.setattr(transactions, "REQUEST_S", 1)
    producer = TransactionalProducer(kafka_bootstrap, "stuck", 1_500)
    producer._producer = Standing(producer._producer, "commit_transaction")
    member = open_consumer(kafka_bootstrap).consumer_group_metadata()
    with pytest.raises(ServiceUnavailable, match="nobody knows whether a checkpoint was committed"):
        producer.commit([Records(topic, 0, RECORDS)], {}, member)
