"""Reading one partition from an offset to its end, outside any consumer group."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from headrace.schemas.errors import ServiceUnavailable
from headrace.streams.connections.connection_errors import ConnectionErrors
from headrace.streams.connections.kafka import Kafka, client_config

_FETCH_BYTES = 4 * 1024**2  # more of a partition at once: fewer round trips while a changelog is read
_QUEUE_KIB = 8192  # read ahead: a changelog is folded as fast as it comes, and may be one of many at once
_AT_ONCE = 2000
_GROUP = "headrace-reader"
_LEADERLESS = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
_LEADER_LOOK_S = 0.05
_SILENCE_S = 30.0  # without a record and short of the end: the broker is not answering


def open_consumer(
    kafka: Kafka, fetch_wait_ms: int = 500, errors: ConnectionErrors | None = None, committed: bool = True
) -> Consumer:
    """A consumer of committed records that belongs to no group and reports the end of a partition.

    `fetch_wait_ms` is how long the broker holds a fetch back that finds nothing: until then, the end of a
    partition is not reported. What goes wrong with its connections goes to `errors`, else to the log. With
    `committed` False it sees the records of open transactions too.
    """
    return Consumer(
        {
            **client_config(kafka),
            **({"log_level": 0, "error_cb": errors} if errors else {}),
            "group.id": _GROUP,  # required by the client, never used: nothing is committed
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": fetch_wait_ms,
            "max.partition.fetch.bytes": _FETCH_BYTES,
            "queued.max.messages.kbytes": _QUEUE_KIB,
            "enable.partition.eof": True,
            "isolation.level": "read_committed" if committed else "read_uncommitted",
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
    where = f"{message.topic()}[{message.partition()}]" if message.topic() else f"as group '{_GROUP}'"
    raise ServiceUnavailable(f"cannot read {where}: {error}")


def end_offset(kafka: Kafka, topic: str, partition: int, committed: bool = True) -> int:
    """Return where a partition ends: behind all that is committed; with `committed` False, behind all."""
    return log_bounds(kafka, topic, partition, committed)[1]


def log_bounds(kafka: Kafka, topic: str, partition: int, committed: bool = False) -> tuple[int, int]:
    """Return the offsets of the first record that a partition still has, and behind the last.

    With `committed`, the last that is committed. A partition that has just been made is waited for until it
    has a leader.

    Raises
    ------
    ServiceUnavailable
        When Kafka does not answer.
    """
    errors = ConnectionErrors()
    consumer = open_consumer(kafka, errors=errors, committed=committed)
    deadline = time.monotonic() + _SILENCE_S
    try:
        while True:
            try:
                place = TopicPartition(topic, partition)
                begin, end = consumer.get_watermark_offsets(place, timeout=_SILENCE_S)
                return int(begin), int(end)
            except KafkaException as error:
                consumer.poll(0)  # calls `errors`
                if error.args[0].code() not in _LEADERLESS or time.monotonic() > deadline:
                    raise ServiceUnavailable(
                        f"Kafka does not tell the end of {topic}[{partition}]: {errors.text() or error}"
                    ) from error
                time.sleep(_LEADER_LOOK_S)
    finally:
        consumer.close()


def read_log(
    kafka: Kafka, topic: str, partition: int, start: int = 0, until: int | None = None
) -> Iterator[Any]:
    """The records of a partition (confluent `Message`) from `start` to its end, in log order.

    With `until`, transactions that are open below that offset are waited for.

    Where the log begins further on, it is read from there (`auto.offset.reset`). Sent to the beginning by
    name, librdkafka asks where that is before it is connected, and again only after half a second.

    Raises
    ------
    ServiceUnavailable
        When the broker stops answering before the end is reached.
    """
    errors = ConnectionErrors()
    consumer = open_consumer(kafka, fetch_wait_ms=10, errors=errors)
    try:
        consumer.assign([TopicPartition(topic, partition, start)])
        while (first := consumer.poll(_SILENCE_S)) is not None:
            # What has arrived, at once: each call hands the interpreter to another thread.
            for message in (first, *consumer.consume(_AT_ONCE, 0)):
                if not is_end(message):
                    yield message
                elif until is None or message.offset() >= until:
                    return
        waited = f"nothing for {_SILENCE_S:g} s" + ("" if until is None else ", or a transaction is open")
        cause = errors.text() or waited
        raise ServiceUnavailable(f"no answer from Kafka while reading {topic}[{partition}]: {cause}")
    finally:
        consumer.close()
