"""A record of a purchase, encoded."""

from __future__ import annotations

from headrace.schemas.avro import encode_confluent
from headrace.streams.log.records import LogRecord
from tests.support.purchases import EVENT_SCHEMA


def record(offset: int, event_ms: int | None, appended_ms: int | None = None, **fields: object) -> LogRecord:
    values = {"user": 1, "shop": "a", "amount": 1.0, "items": 1, "note": "", "event_ms": event_ms, **fields}
    return LogRecord(
        offset,
        appended_ms if appended_ms is not None else (event_ms or 0),
        b"k",
        encode_confluent(EVENT_SCHEMA, 7, values),
    )
