"""Reading a changelog: one partition of a compacted topic, from its beginning to its end."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, TopicPartition

from schemas.errors import ServiceUnavailable

_BATCH = 10_000
_SILENCE_S = 30.0  # without a record and short of the end: the broker is not answering


def read_changelog(bootstrap: str, topic: str, partition: int) -> Iterator[tuple[bytes, bytes | None]]:
    """Keys and values of a partition in log order, up to its end at the moment of the call.

    Raises
    ------
    ServiceUnavailable
        When the broker stops answering before the end is reached.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "headrace-restore",  # required by the client, never used: nothing is committed
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    try:
        where = TopicPartition(topic, partition)
        first, end = consumer.get_watermark_offsets(where, timeout=_SILENCE_S)
        if end <= first:
            return
        where.offset = first
        consumer.assign([where])
        while True:
            messages = consumer.consume(_BATCH, timeout=_SILENCE_S)
            if not messages:
                raise ServiceUnavailable(f"no answer from Kafka while reading {topic}[{partition}]")
            for message in messages:
                error = message.error()
                if error is None:
                    yield message.key(), message.value()
                elif error.code() == KafkaError._PARTITION_EOF:
                    return
                else:
                    raise ServiceUnavailable(f"cannot read {topic}[{partition}]: {error}")
    finally:
        consumer.close()
