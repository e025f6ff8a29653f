"""The audit reads what the worker reads: every format, schemas of plan and registry, and every fault."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.avro import encode_confluent
from headrace.schemas.feature_specs import ExpectationSpec
from headrace.schemas.marks import mark_headers
from headrace.schemas.plan import Plan
from headrace.streams.log.records import LogRecord
from headrace.streams.runtime.registry_lookup import RegistryLookup
from headrace.testing import SchemaRegistryStandIn
from tests.support.audit_scene import Scene, assert_all_equal, with_router
from tests.support.fuzz import Fuzz
from tests.support.properties import tries
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

    @property
    def plan(self) -> Plan:
        plan = purchases_plan(shards=1, max_future_ms=1000)
        few = [
            view.model_copy(update={"aggregations": view.aggregations[:8]}) for view in plan.stream_views[:2]
        ]
        expected = (
            ExpectationSpec(field="items", least=-5.0, quarantine=True),
            ExpectationSpec(field="shop", null_share=0.5),
        )
        source = plan.sources[0].model_copy(update={**self.source, "expectations": expected})
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


FAULTS: dict[str, Callable[[Format], bytes | None]] = {
    "a tombstone": lambda of: None,
    "nothing": lambda of: b"",
    "noise": lambda of: b"\xff\xfe\x00",
    "a record that is cut off": lambda of: of.encode(event(1))[:-3],
    "bytes behind a record": lambda of: of.encode(event(1)) + b"\x07",
    "two records": lambda of: of.encode(event(1)) * 2,
    "an id that nobody knows": lambda of: b"\0" + struct.pack(">I", 99) + of.encode(event(1))[5:],
    "no id": lambda of: of.encode(event(1))[:3],
    "an array": lambda of: b"[" + of.encode(event(1)) + b"]",
    "brackets without end": lambda of: b"[" * 5000,
    "a constant that is no JSON": lambda of: b'{"user": 1, "shop": "a", "event_ms": NaN}',
    "a number as text": lambda of: b'{"user": "1", "shop": "a", "event_ms": 1700000000000}',
    "a time without zone": lambda of: b'{"user": 1, "shop": "a", "event_ms": "2023-11-14T22:13:20"}',
    "a time that is no time": lambda of: b'{"user": 1, "shop": "a", "event_ms": "yesterday"}',
    "a lone surrogate": lambda of: b'{"user": 1, "shop": "\\ud800", "event_ms": 1700000000000}',
    "bytes that are no text": lambda of: of.encode(event(1)).replace(b"B", b"\xff"),
    "a missing field": lambda of: b'{"user": 1, "event_ms": 1700000000000}',
    "a number beyond 64 bits": lambda of: b'{"user": 1e30, "shop": "a", "event_ms": 1700000000000}',
    "a null key": lambda of: of.encode(event(1, user=None)),
    "a null text key": lambda of: of.encode(event(1, shop=None)),
    "a null time": lambda of: of.encode(event(1, event_ms=None)),
    "a time in the future": lambda of: of.encode(event(1, event_ms=T0 + 10_000)),
    "a late time": lambda of: of.encode(event(1, event_ms=T0 - 10_000)),
    "a time before all times": lambda of: of.encode(event(1, event_ms=-(2**45))),
    "a sum that does not fit": lambda of: of.encode(event(1, amount=1e15)),
    "a long text": lambda of: of.encode(event(1, shop="s" * 2000)),
    "a text that ends in NUL": lambda of: of.encode(event(1, shop="s\0")),
    "a text with a NUL within": lambda of: of.encode(event(1, shop="s\0t")),
    "a value that is quarantined": lambda of: of.encode(event(1, items=-6)),
}


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryLookup]:
    with SchemaRegistryStandIn(REGISTRY) as stand_in:
        yield RegistryLookup(stand_in.url)


def audited(of: Format, records: list[LogRecord], registry: RegistryLookup, at_once: int) -> Scene:
    """A worker reads the records, and every vector that is served is recomputed from the same."""
    scene = Scene(of.plan, [records], registry.supply)
    scene.drain(at_once)
    for user in range(3):
        scene.predict(user, "a")
    report = scene.audit()
    assert_all_equal(report, scene)
    assert report.records["purchases"].total() == len(records)
    return scene


@pytest.mark.parametrize("at_once", [7, 1000], ids=["one by one", "by column"])
@pytest.mark.parametrize("name", FORMATS)
def test_the_audit_counts_what_the_worker_counts_whatever_is_among_the_records(name, at_once, registry):
    of = FORMATS[name]
    good = [of.encode(event(number)) for number in range(40)]
    values: list[Any] = [*good, *(fault(of) for fault in FAULTS.values()), *good]
    records = [of.record(offset, value) for offset, value in enumerate(values)]
    records.append(of.record(len(records), None, headers=mark_headers(T0 + 500)))
    counts = audited(of, records, registry, at_once).counts()
    assert counts["marks"] == 1
    assert counts["dead"] >= len(FAULTS) // 2
    assert (counts["applied"] >= len(good)) == of.is_read


@tries(20)
@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from([*FORMATS]), at_once=st.sampled_from([5, 100]))
def test_whatever_producers_do_to_records_both_count_alike(seed, name, at_once, registry):
    of, fuzz = FORMATS[name], Fuzz(seed)
    damage = fuzz.json_of if of.source is JSON else fuzz.bytes_of
    values = [damage(of.encode(event(number))) for number in range(60)]
    audited(
        of, [of.record(n, value, headers=fuzz.headers()) for n, value in enumerate(values)], registry, at_once
    )
