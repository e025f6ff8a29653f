"""How events of a topic are written: formats, and schemas of the plan and of a registry."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from headrace.schemas.avro import encode_confluent
from headrace.schemas.feature_specs import ExpectationSpec
from headrace.schemas.plan import Plan
from headrace.streams.log.records import LogRecord
from tests.support.audit_scene import with_router
from tests.support.purchases import purchases_plan

T0 = 1_700_000_000_000
FIELDS: list[dict[str, Any]] = [
    {"name": "user", "type": ["null", "long"]},
    {"name": "shop", "type": ["null", "string"]},
    {"name": "event_ms", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
    {"name": "amount", "type": ["null", "double"], "default": None},
    {"name": "items", "type": ["null", "int"], "default": None},
]
PLAIN = {"type": "record", "name": "Purchase", "fields": FIELDS}
MICROS = {
    **PLAIN,
    "fields": [
        *FIELDS[:2],
        {"name": "event_ms", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
        *FIELDS[3:],
    ],
}
NEWER = {**PLAIN, "fields": [{"name": "till", "type": "string", "default": ""}, *reversed(FIELDS)]}
UNREADABLE = {**PLAIN, "fields": [{"name": "user", "type": "string"}, *FIELDS[1:]]}
REGISTRY = {12: NEWER, 13: UNREADABLE}
GUID = [("__value_schema_id", bytes(16))]


@dataclass(frozen=True)
class Format:
    """How the events of a topic are written, and what of the plan says so."""

    encode: Callable[[dict[str, Any]], bytes]
    source: dict[str, Any]
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    is_read: bool = True

    def plan(self, project: str = "shop", shards: int = 1) -> Plan:
        """Two views and a router that serves them; without shards the topic has one partition."""
        plan = purchases_plan(project, shards=shards, max_future_ms=1000)
        few = [
            view.model_copy(update={"aggregations": view.aggregations[:8]}) for view in plan.stream_views[:2]
        ]
        expected = (
            ExpectationSpec(field="items", least=-5.0, quarantine=True),
            ExpectationSpec(field="shop", null_share=0.5),
        )
        source = plan.sources[0].model_copy(
            update={**self.source, "expectations": expected, "partitions": None if shards else 1}
        )
        return with_router(plan.model_copy(update={"sources": (source,), "stream_views": tuple(few)}))

    def record(self, offset: int, value: bytes | None, **more: Any) -> LogRecord:
        return LogRecord(offset, T0 + offset, b"k", value, **{"headers": self.headers, **more})


def as_text(event: dict[str, Any]) -> bytes:
    at = event["event_ms"]
    text = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds") if at else at
    return json.dumps({**event, "event_ms": text}).encode()


def avro(schema: dict[str, Any], schema_id: int) -> Callable[[dict[str, Any]], bytes]:
    return lambda event: encode_confluent(json.dumps(schema), schema_id, {"till": "t", **event})


def in_micros(event: dict[str, Any]) -> bytes:
    at = event["event_ms"]
    return avro(MICROS, 7)({**event, "event_ms": at and at * 1000 + 999})


def declared(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"reader_schema": json.dumps(schema), "writer_schemas": {7: json.dumps(schema)}, **more}


JSON = declared(PLAIN, format="json", writer_schemas={})
FORMATS = {
    "json, times as numbers": Format(lambda event: json.dumps(event).encode(), JSON),
    "json, times as text": Format(as_text, JSON),
    "avro, schema of the plan": Format(avro(PLAIN, 7), declared(PLAIN)),
    "avro, times in microseconds": Format(in_micros, declared(MICROS, timestamp_unit="us")),
    "avro, schema of the registry": Format(avro(NEWER, 12), declared(PLAIN)),
    "avro, schema that is not read": Format(avro(PLAIN, 13), declared(PLAIN), is_read=False),
    "avro, schema by its guid": Format(
        lambda event: avro(PLAIN, 7)(event)[5:], declared(PLAIN), GUID, is_read=False
    ),
}


def event(number: int, **changes: Any) -> dict[str, Any]:
    fields = {"user": number % 3, "shop": "aB ö"[number % 4], "event_ms": T0 + number, "amount": 2.5}
    return {**fields, "items": 3, **changes}
