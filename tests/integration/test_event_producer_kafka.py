"""The producer SDK against real Apache Kafka."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient

from headrace.deploy.local.mock_kafka import MockKafka
from headrace.schemas.avro import AvroDecoder, schema_fingerprint
from headrace.schemas.errors import (
    DeliveryError,
    RecordError,
    ServiceUnavailable,
    SettingsError,
    UnknownNameError,
)
from headrace.schemas.marks import mark_time_ms
from headrace.streams.async_event_producer import AsyncEventProducer
from headrace.streams.event_producer import EventProducer
from headrace.streams.log.partitioner import partition_for
from headrace.streams.log.reader import read_log
from headrace.streams.producers.event_format import EventFormat
from headrace.streams.producers.outbox import Deliveries, Outbox
from tests.support.kafka_topics import make_topic
from tests.support.purchases import purchases_plan
from tests.support.waiting import PATIENCE_S, eventually

PARTITIONS = 4
NOON_MS = 1_700_000_000_000
SCHEMA = json.dumps(
    {
        "type": "record",
        "name": "Click",
        "fields": [
            {"name": "user", "type": ["null", "string"]},
            {"name": "at", "type": "long"},
            {"name": "page", "type": "string"},
        ],
    }
)


def click(number: int, user: str | None = None, page: str = "home") -> dict[str, Any]:
    return {"user": user or f"user {number}", "at": NOON_MS + number, "page": page}


@pytest.fixture
def topic(kafka_bootstrap: str, project: str) -> Iterator[str]:
    config = {"retention.ms": "-1", "max.message.bytes": "20000"}
    name = f"{project}.clicks"
    make_topic(kafka_bootstrap, name, PARTITIONS, config)
    yield name
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    admin.delete_topics([name])[name].result()


@pytest.fixture
def clicks(topic: str) -> EventFormat:
    return EventFormat(topic, SCHEMA, key_field="user", timestamp_field="at")


def messages(bootstrap: str, topic: str) -> list[Message]:
    return [m for partition in range(PARTITIONS) for m in read_log(bootstrap, topic, partition)]


def pages(found: list[Message]) -> list[str]:
    decoder = AvroDecoder(SCHEMA, {schema_fingerprint(SCHEMA): SCHEMA}, ["page"])
    return [page.decode() for page in decoder.decode([m.value() for m in found]).columns["page"].values]


def test_events_arrive_where_java_puts_them_with_their_time(
    kafka_bootstrap: str, clicks: EventFormat
) -> None:
    users = [f"user {n}" for n in range(200)] + [
        "21",
        "foobar",
        "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
        "ä",
    ]
    with EventProducer(kafka_bootstrap, clicks) as producer:
        for number, user in enumerate(users):
            producer.send(click(number, user))
        prefix = producer.flush()
    found = messages(kafka_bootstrap, clicks.topic)
    assert {m.key().decode() for m in found} == set(users)
    for message in found:
        assert message.partition() == partition_for(message.key(), PARTITIONS)
        assert message.timestamp()[1] == NOON_MS + users.index(message.key().decode())
    ends: dict[int, int] = defaultdict(int)
    for message in found:
        ends[message.partition()] = max(ends[message.partition()], message.offset() + 1)
    assert prefix == ends


def test_events_without_a_key_may_go_anywhere(kafka_bootstrap: str, clicks: EventFormat) -> None:
    with EventProducer(kafka_bootstrap, clicks) as producer:
        assert producer.send_batch([click(n) | {"user": None} for n in range(20)]) == 20
        assert sum(producer.flush().values()) == 20
    assert {m.key() for m in messages(kafka_bootstrap, clicks.topic)} == {None}


def test_a_source_of_a_plan_says_all_there_is_to_say(kafka_bootstrap: str, topic: str) -> None:
    plan = purchases_plan()
    source = plan.sources[0].model_copy(update={"topic": topic})
    plan = plan.model_copy(update={"sources": (source,)})
    event = {"user": 5, "shop": "a", "event_ms": NOON_MS, "amount": 1.0, "items": 1, "note": ""}
    with EventProducer.from_plan(kafka_bootstrap, plan, "purchases") as producer:
        producer.send(event)
    (message,) = messages(kafka_bootstrap, topic)
    assert (message.key(), message.timestamp()[1]) == (b"5", NOON_MS)
    columns = (
        AvroDecoder(source.reader_schema, source.writer_schemas, ["user"]).decode([message.value()]).columns
    )
    assert columns["user"].values.tolist() == [5]


def test_a_batch_with_one_wrong_event_sends_nothing(kafka_bootstrap: str, clicks: EventFormat) -> None:
    with EventProducer(kafka_bootstrap, clicks) as producer:
        with pytest.raises(RecordError, match="event 1 of the batch: field 'page'"):
            producer.send_batch([click(0), click(1) | {"page": 7}, click(2)])
        assert producer.flush() == {}
    assert messages(kafka_bootstrap, clicks.topic) == []


def test_a_mark_reaches_every_partition_behind_what_was_sent(
    kafka_bootstrap: str, clicks: EventFormat
) -> None:
    with EventProducer(kafka_bootstrap, clicks) as producer:
        producer.send_batch([click(n) for n in range(50)])
        assert producer.mark(NOON_MS + 99) == PARTITIONS
        prefix = producer.flush()
    last = {m.partition(): m for m in messages(kafka_bootstrap, clicks.topic)}
    assert {partition: m.offset() + 1 for partition, m in last.items()} == prefix
    assert {mark_time_ms(m.headers()) for m in last.values()} == {NOON_MS + 99}
    assert len(last) == PARTITIONS


def test_a_queue_of_ten_takes_a_thousand_events_in_order(kafka_bootstrap: str, clicks: EventFormat) -> None:
    kafka = {"bootstrap.servers": kafka_bootstrap, "queue.buffering.max.messages": 10}
    with EventProducer(kafka, clicks) as producer:
        producer.send_batch([click(n, "ada", f"page {n}") for n in range(1000)])
    assert pages(messages(kafka_bootstrap, clicks.topic)) == [f"page {n}" for n in range(1000)]


class UnplacedRecord:
    """As librdkafka tells of a record whose first answer was lost: it is there, at an offset unknown."""

    def partition(self) -> int:
        return partition_for(b"ada", PARTITIONS)

    def offset(self) -> None:
        return None


def test_a_record_of_unknown_offset_reaches_to_the_end_of_its_partition(
    kafka_bootstrap: str, clicks: EventFormat
) -> None:
    outbox, deliveries = Outbox(kafka_bootstrap), Deliveries(clicks.topic)
    EventProducer(outbox, clicks).send(click(0, "ada"))
    deliveries.report(None, UnplacedRecord())  # type: ignore[arg-type]
    outbox.flush(deliveries)
    assert deliveries.ends == {partition_for(b"ada", PARTITIONS): 1}
    assert not deliveries.unlocated


def test_producers_share_an_outbox(kafka_bootstrap: str, clicks: EventFormat) -> None:
    outbox = Outbox(kafka_bootstrap)
    first, second = EventProducer(outbox, clicks), EventProducer(outbox, clicks)
    first.send(click(0, "ada"))
    second.send(click(1, "ada"))
    partition = partition_for(b"ada", PARTITIONS)
    assert (first.flush(), second.flush()) == ({partition: 1}, {partition: 2})


def test_an_unknown_topic_is_refused_and_not_made(kafka_bootstrap: str, clicks: EventFormat) -> None:
    wrong = EventFormat(clicks.topic.replace("clicks", "clips"), SCHEMA)
    producer = EventProducer(kafka_bootstrap, wrong)
    for act in (lambda: producer.send(click(1)), lambda: producer.mark(NOON_MS)):
        with pytest.raises(UnknownNameError, match=f"did you mean '{clicks.topic}'"):
            act()
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    assert wrong.topic not in admin.list_topics(timeout=PATIENCE_S).topics


def test_what_the_broker_refuses_is_raised_with_topic_partition_count_and_cause(
    kafka_bootstrap: str, clicks: EventFormat
) -> None:
    producer = EventProducer(kafka_bootstrap, clicks)
    for number in range(3):
        producer.send(click(number, "ada", "x" * 30_000))
    with pytest.raises(DeliveryError, match=r"Message size too large.*max\.message\.bytes") as told:
        producer.flush()
    assert (told.value.topic, told.value.counts) == (clicks.topic, {partition_for(b"ada", PARTITIONS): 3})
    producer.send(click(4))
    assert sum(producer.flush().values()) == 1


def test_an_earlier_failure_is_raised_by_the_next_call(kafka_bootstrap: str, clicks: EventFormat) -> None:
    producer = EventProducer({"bootstrap.servers": kafka_bootstrap, "linger.ms": 0}, clicks)
    producer.send(click(0, "ada", "x" * 30_000))
    with pytest.raises(DeliveryError, match="Message size too large"):
        keep_sending(producer)


def keep_sending(producer: EventProducer) -> None:
    """Send until Kafka has answered what was sent before, and a call raises that."""
    eventually(lambda: producer.send(click(1)), "an answer of Kafka")


@pytest.fixture
def vanishing() -> MockKafka:
    return MockKafka({"clicks": 1})


def test_a_broker_that_went_away_is_told_with_its_address(vanishing: MockKafka) -> None:
    kafka = {
        "bootstrap.servers": vanishing.bootstrap,
        "delivery.timeout.ms": 4000,
        "queue.buffering.max.messages": 10,
    }
    producer = EventProducer(kafka, EventFormat("clicks", SCHEMA, "user", "at"))
    producer.send(click(0))
    assert producer.flush() == {0: 1}
    vanishing.close()
    with pytest.raises(DeliveryError, match=r"timed out.*127\.0\.0\.1.*See whether the brokers run") as told:
        producer.send_batch([click(n) for n in range(100)])
    lost = (
        told.value.count
    )  # ninety for which there was no room, and of the ten that waited those given up first
    assert 90 < lost <= 100
    if lost < 100:
        with pytest.raises(DeliveryError, match="timed out") as told:
            producer.flush()
        lost += told.value.count
    assert lost == 100
    assert producer.flush() == {0: 1}


def test_a_broker_that_was_never_there_is_told(free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.streams.log.kafka_producer.REQUEST_S", 1.0)
    producer = EventProducer(f"127.0.0.1:{free_port}", EventFormat("clicks", SCHEMA))
    with pytest.raises(ServiceUnavailable, match=f"127.0.0.1:{free_port}.*see whether it runs"):
        producer.send(click(0))


@pytest.mark.parametrize(
    ("setting", "says"),
    [({"acks": 1}, "acks=1: it is always 'all'"), ({"linger.sm": 1}, "No such configuration property")],
)
def test_settings_that_cannot_be_are_refused(setting: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        EventProducer({"bootstrap.servers": "127.0.0.1:9092", **setting}, EventFormat("clicks", SCHEMA))


async def test_an_awaited_batch_is_in_the_log(kafka_bootstrap: str, clicks: EventFormat) -> None:
    async with AsyncEventProducer(kafka_bootstrap, clicks) as producer:
        assert await producer.send(click(0, "ada")) == {partition_for(b"ada", PARTITIONS): 1}
        prefix = await producer.send_batch([click(n) for n in range(100)])
        assert sum(prefix.values()) >= 100
        marked = await producer.mark(NOON_MS)
        assert len(marked) == PARTITIONS
        assert await producer.send_batch([]) == {}
    assert len(messages(kafka_bootstrap, clicks.topic)) == 101 + PARTITIONS


async def test_overlapping_calls_keep_their_order(kafka_bootstrap: str, clicks: EventFormat) -> None:
    kafka = {"bootstrap.servers": kafka_bootstrap, "queue.buffering.max.messages": 10}
    async with AsyncEventProducer(kafka, clicks) as producer:
        batches = [[click(n, "ada", f"{batch}-{n}") for n in range(50)] for batch in range(5)]
        prefixes = await asyncio.gather(*map(producer.send_batch, batches))
    (partition,) = prefixes[0]
    assert [prefix[partition] for prefix in prefixes] == [50, 100, 150, 200, 250]
    found = pages(messages(kafka_bootstrap, clicks.topic))
    assert found == [f"{batch}-{n}" for batch in range(5) for n in range(50)]


async def test_one_batch_fails_and_another_does_not(kafka_bootstrap: str, clicks: EventFormat) -> None:
    elsewhere = next(
        u for u in map(str, range(99)) if partition_for(u.encode(), 4) != partition_for(b"ada", 4)
    )
    async with AsyncEventProducer(kafka_bootstrap, clicks) as producer:
        good, bad, wrong = await asyncio.gather(
            producer.send_batch([click(0, elsewhere), click(1, elsewhere)]),
            producer.send_batch([click(2, "ada", "x" * 30_000)]),
            producer.send_batch([click(3), click(4) | {"page": None}]),
            return_exceptions=True,
        )
    assert sum(good.values()) == 2
    assert isinstance(bad, DeliveryError)
    assert (bad.topic, bad.count) == (clicks.topic, 1)
    assert isinstance(wrong, RecordError)
    assert len(messages(kafka_bootstrap, clicks.topic)) == 2


async def test_a_batch_larger_than_the_queue_gives_up_with_its_broker(vanishing: MockKafka) -> None:
    kafka = {
        "bootstrap.servers": vanishing.bootstrap,
        "delivery.timeout.ms": 4000,
        "queue.buffering.max.messages": 10,
    }
    async with AsyncEventProducer(kafka, EventFormat("clicks", SCHEMA, "user", "at")) as producer:
        assert await producer.send(click(0)) == {0: 1}
        vanishing.close()
        with pytest.raises(DeliveryError) as told:
            await producer.send_batch([click(n) for n in range(100)])
    assert told.value.count == 100
