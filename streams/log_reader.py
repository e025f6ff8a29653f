"""Reading one partition from an offset to its end, outside any consumer group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from schemas.errors import ServiceUnavailable
from streams.kafka_access import Kafka, KafkaAdmin, client_config

_FETCH_BYTES = 4 * 1024**2  # more of a partition at once: fewer round trips while a changelog is read
_AT_ONCE = 2000
_SILENCE_S = 30.0  # without a record and short of the end: the broker is not answering


def open_consumer(kafka: Kafka, fetch_wait_ms: int = 500) -> Consumer:
    """A consumer of committed records that belongs to no group and reports the end of a partition.

    `fetch_wait_ms` is how long the broker holds a fetch back that finds nothing: until then, the end of a
    partition is not reported.
    """
    return Consumer(
        {
            **client_config(kafka),
            "group.id": "headrace-reader",  # required by the client, never used: nothing is committed
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": fetch_wait_ms,
            "max.partition.fetch.bytes": _FETCH_BYTES,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )


def is_end(message: Any) -> bool:
    """Whether a polled message only says that the partition ends here.

    Raises
    ------
    ServiceUnavailable
        When it says that reading failed.
    """
    error = message.error()
    if error is None:
        return False
    if error.code() == KafkaError._PARTITION_EOF:
        return True
    raise ServiceUnavailable(f"cannot read {message.topic()}[{message.partition()}]: {error}")


def end_offset(kafka: Kafka, topic: str, partition: int) -> int:
    """The offset the next record of a partition will get."""
    consumer = open_consumer(kafka)
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_SILENCE_S)[1])
    except KafkaException as error:
        raise ServiceUnavailable(f"Kafka does not tell the end of {topic}[{partition}]: {error}") from error
    finally:
        consumer.close()


def read_log(kafka: Kafka, topic: str, partition: int, start: int = 0) -> Iterator[Any]:
    """The records of a partition (confluent `Message`) from `start` to its end, in log order.

    Raises
    ------
    ServiceUnavailable
        When the broker stops answering before the end is reached.
    """
    consumer = open_consumer(kafka, fetch_wait_ms=10)
    try:
        consumer.assign([TopicPartition(topic, partition, start or OFFSET_BEGINNING)])
        while (first := consumer.poll(_SILENCE_S)) is not None:
            # What has arrived, at once: each call hands the interpreter to another thread.
            for message in (first, *consumer.consume(_AT_ONCE, 0)):
                if is_end(message):
                    return
                yield message
        raise ServiceUnavailable(f"no answer from Kafka while reading {topic}[{partition}]")
    finally:
        consumer.close()


def partition_count(kafka: Kafka, topic: str) -> int:
    """How many partitions a topic has.

    Raises
    ------
    ServiceUnavailable
        When there is no such topic, or Kafka does not answer.
    """
    known = KafkaAdmin(kafka).metadata(_SILENCE_S).topics  # of all: asking for one may make it
    if topic not in known:
        raise ServiceUnavailable(f"there is no topic '{topic}'; run `headrace apply` to have it made")
    return len(known[topic].partitions)
