"""Records of Kafka as a consumer gets them, made without one."""

from __future__ import annotations

from confluent_kafka import TIMESTAMP_CREATE_TIME, Message

from headrace.schemas.marks import mark_headers


def record(topic: str, offset: int, value: bytes | None, partition: int = 0) -> Message:
    return Message(
        topic=topic,
        partition=partition,
        offset=offset,
        key=b"key",
        value=value,
        headers=[],
        timestamp=(TIMESTAMP_CREATE_TIME, 1_000),
    )


def mark(topic: str, offset: int, time_ms: int, partition: int = 0) -> Message:
    """A time mark."""
    return Message(topic=topic, partition=partition, offset=offset, value=None, headers=mark_headers(time_ms))
