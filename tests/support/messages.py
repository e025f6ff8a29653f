"""Records of Kafka as a consumer gets them, made without one."""

from __future__ import annotations

import time

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message

from headrace.schemas.marks import mark_headers


def record(topic: str, offset: int, value: bytes | None, partition: int = 0) -> Message:
    return Message(
        topic=topic,
        partition=partition,
        offset=offset,
        key=b"key",
        value=value,
        headers=[],
        timestamp=appended_now(),
    )


def mark(
    topic: str, offset: int, time_ms: int, partition: int = 0, place: tuple[int, int] | None = None
) -> Message:
    """A time mark; of a place among partitions, or of all."""
    return Message(
        topic=topic,
        partition=partition,
        offset=offset,
        value=None,
        headers=mark_headers(time_ms, *(place or ())),
        timestamp=appended_now(),
    )


def appended_now() -> tuple[int, int]:
    """The timestamp that a broker gives."""
    return TIMESTAMP_LOG_APPEND_TIME, time.time_ns() // 1_000_000
