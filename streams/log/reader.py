"""Reading of one partition from an offset to its end, outside any consumer group."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from headrace.schemas.errors import ServiceUnavailable
from headrace.streams.connections.connection_errors import ConnectionErrors
from headrace.streams.connections.kafka import Kafka, client_config
from headrace.streams.connections.kafka_admin import LEADER_PAUSE_S, LEADERLESS

_FETCH_BYTES = 4 * 1024**2  # of a partition at once: few round trips while a changelog is read
_QUEUE_KIB = 8192  # read ahead: a changelog is folded as fast as it comes, and may be one of many at once
_AT_ONCE = 2000  # records taken from librdkafka by one call
_GROUP = "headrace-reader"
_SILENCE_S = 30.0  # without a record and short of the end: the broker is not answering


def open_consumer(
    kafka: Kafka, fetch_wait_ms: int = 500, errors: ConnectionErrors | None = None, committed: bool = True
) -> Consumer:
    """Make a consumer that belongs to no group and reports the end of a partition.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    fetch_wait_ms
        How long the broker holds back a fetch that finds nothing. The end of a partition is reported after
        it.
    errors
        Takes the errors of connections; None: the log takes them.
    committed
        Whether to read committed records only.
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
    """Whether a polled message is no record, but reports the end of a partition.

    Raises
    ------
    ServiceUnavailable
        When the message reports that reading failed.
    """
    error = message.error()
    if error is None:
        return False
    if error.code() == KafkaError._PARTITION_EOF:
        return True
    where = f"{message.topic()}[{message.partition()}]" if message.topic() else f"as group '{_GROUP}'"
    raise ServiceUnavailable(f"cannot read {where}: {error}")


def end_offset(kafka: Kafka, topic: str, partition: int, committed: bool = True) -> int:
    """Return the offset behind the last record of a partition, or behind the last that is committed."""
    return log_bounds(kafka, topic, partition, committed)[1]


def log_bounds(kafka: Kafka, topic: str, partition: int, committed: bool = False) -> tuple[int, int]:
    """Return the offset of the first record of a partition, and the offset behind the last.

    Waits until the partition has a leader.

    Parameters
    ----------
    committed
        Whether the last record is the last that is committed.

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
                if error.args[0].code() not in LEADERLESS or time.monotonic() > deadline:
                    raise ServiceUnavailable(
                        f"Kafka does not tell the end of {topic}[{partition}]: {errors.text() or error}"
                    ) from error
                time.sleep(LEADER_PAUSE_S)
    finally:
        consumer.close()


def read_log(
    kafka: Kafka, topic: str, partition: int, start: int = 0, until: int | None = None
) -> Iterator[Any]:
    """Read a partition to its end, in log order; records are confluent-kafka's messages.

    Parameters
    ----------
    start
        First offset. A log that begins further on is read from its beginning.
    until
        Transactions that are open below this offset are waited for.

    Raises
    ------
    ServiceUnavailable
        When the broker stops answering before the end is reached.
    """
    errors = ConnectionErrors()
    consumer = open_consumer(kafka, fetch_wait_ms=10, errors=errors)
    try:
        # By number: for the beginning librdkafka would ask before it is connected, and again in 0.5 s.
        consumer.assign([TopicPartition(topic, partition, start)])
        while (first := consumer.poll(_SILENCE_S)) is not None:
            # All that has arrived, by one call: each call hands the interpreter to another thread.
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
