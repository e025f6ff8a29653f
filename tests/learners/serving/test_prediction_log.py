"""Records are appended to Kafka, and their offsets come back in the order they were given in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from headrace.deploy.local.mock_kafka import MockKafka
from headrace.learners.serving.prediction_log import LogEntry, PredictionLog
from headrace.streams.log.kafka_producer import KafkaRecord
from headrace.streams.log.reader import read_log
from tests.support.waiting import PATIENCE_S


@pytest.fixture
def broker() -> Iterator[MockKafka]:
    running = MockKafka({"predictions": 2})
    yield running
    running.close()


def kafka_of(bootstrap: str) -> dict[str, str | int]:
    """How to reach a broker, saying nothing when it goes away."""
    return {"bootstrap.servers": bootstrap, "log_level": 0}


def entries(*partitions: int) -> list[LogEntry]:
    return [
        (
            "predictions",
            KafkaRecord(b"value%d" % number, b"key%d" % number, 1_000 + number, partition=partition),
        )
        for number, partition in enumerate(partitions)
    ]


async def test_offsets_are_those_of_the_records_in_their_partitions(broker: MockKafka) -> None:
    log = PredictionLog(kafka_of(broker.bootstrap), PATIENCE_S)
    log.start()
    assert log.reachable()
    assert await log.append(entries(0, 1, 0, 0)) == [0, 0, 1, 2]
    assert await log.append(entries(1)) == [1]
    log.close()
    found = [(m.key(), m.value(), m.timestamp()[1]) for m in read_log(broker.bootstrap, "predictions", 0)]
    assert found == [
        (b"key0", b"value0", 1_000),
        (b"key2", b"value2", 1_002),
        (b"key3", b"value3", 1_003),
    ]


async def test_nothing_to_append_waits_for_nothing(broker: MockKafka) -> None:
    log = PredictionLog(kafka_of(broker.bootstrap), timeout_s=3600)
    log.start()
    assert await asyncio.wait_for(log.append([]), PATIENCE_S) == []
    log.close()


async def test_without_a_broker_no_record_has_an_offset(free_port: int) -> None:
    log = PredictionLog(kafka_of(f"127.0.0.1:{free_port}"), 0.2)
    log.start()
    assert not log.reachable()
    assert await log.append(entries(0, 1)) == [None, None]
    log.close()


async def test_a_record_of_a_partition_that_is_not_there_leaves_the_others_alone(broker: MockKafka) -> None:
    log = PredictionLog(kafka_of(broker.bootstrap), PATIENCE_S)
    log.start()
    assert await log.append(entries(0, 7, 1)) == [0, None, 0]
    assert await log.append(entries(0, 7, 1)) == [
        1,
        None,
        1,
    ]  # by now the partitions are known
    log.close()


async def test_a_record_that_is_too_large_leaves_the_others_alone(broker: MockKafka) -> None:
    log = PredictionLog(broker.bootstrap, PATIENCE_S)
    log.start()
    first, second = entries(0, 0)
    large = first[1]._replace(value=bytes(2_000_000))
    assert await log.append([first, ("predictions", large), second]) == [0, None, 1]
    log.close()
