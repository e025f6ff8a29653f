"""A plan of every aggregation, and a log of one user's purchases."""

from __future__ import annotations

from typing import Any

from headrace.schemas.avro import encode_confluent
from headrace.streams.log.records import LogRecord
from tests.support.purchases import EVENT_SCHEMA, purchases_plan


def a_plan() -> Any:
    return purchases_plan(ever=("by_user",))


def a_log() -> list[LogRecord]:
    """Purchases of one user of which the first and the last amount differ."""
    events = [(1, 5.5), (3, 1.25), (2, 9.75)]
    rows = [
        {"user": 7, "shop": "a", "event_ms": at, "amount": amount, "items": at, "note": ""}
        for at, amount in events
    ]
    return [LogRecord(n, 5, b"7", encode_confluent(EVENT_SCHEMA, 7, row)) for n, row in enumerate(rows)]
