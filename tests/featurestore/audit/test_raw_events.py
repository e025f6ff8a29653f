"""Records of an event topic become rows of a table as they were written, readable or not."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import pytest

from headrace.featurestore.audit.raw_events import raw_table
from headrace.schemas.feature_specs import ExpectationSpec, FieldSpec
from headrace.schemas.marks import mark_headers
from headrace.schemas.plan import Plan
from tests.support.audit_scene import audited_plan


def fastavro_bytes(schema: str, event: dict[str, Any]) -> bytes:
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(json.loads(schema)), event)
    return b"\x00\x00\x00\x00\x01" + body.getvalue()


def with_source(plan: Plan, **changes: Any) -> Plan:
    return plan.model_copy(update={"sources": (plan.sources[0].model_copy(update=changes),)})


def test_logical_types_are_read_as_the_worker_reads_them() -> None:
    """Numbers as they are written; a time in microseconds is one."""
    fields = [
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
        {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
    ]
    schema = json.dumps({"type": "record", "name": "E", "fields": fields})
    plan = audited_plan()
    key, column = FieldSpec(name="id", dtype="String"), {"column": "day", "function": "max"}
    view = plan.stream_views[0]
    view = view.model_copy(
        update={
            "join_keys": (key,),
            "aggregations": (view.aggregations[0].model_copy(update=column),),
        }
    )
    source = plan.sources[0].model_copy(
        update={
            "reader_schema": schema,
            "writer_schemas": {1: schema},
            "timestamp_field": "at",
            "timestamp_unit": "us",
        }
    )
    plan = plan.model_copy(update={"sources": (source,), "stream_views": (view,)})
    event = {"at": 1_700_000_000_123_456, "day": 19_000, "id": "8b0f5a9e-5f4e-4a35-8f6f-0f6f7a1d2c3b"}
    raw = fastavro_bytes(schema, event)
    (row,) = raw_table(plan, source, [(0, 0, 5, raw, [])]).to_pylist()
    assert (row["event_ms"], row["f_day"], row["f_id"]) == (1_700_000_000_123, 19_000, event["id"])


def test_records_nobody_can_read_are_broken_and_marks_are_not() -> None:
    plan = audited_plan()
    records: list[Any] = [
        (0, 0, 5, b"\x00\x00\x00\x00\x07\xff", []),
        (0, 1, 5, b"", []),
        (1, 0, 6, None, mark_headers(70)),
        (1, 1, 6, None, []),
    ]
    rows = raw_table(plan, plan.sources[0], records).to_pylist()
    assert [(row["part"], row["pos"], row["broken"], row["mark"]) for row in rows] == [
        (0, 0, True, None),
        (0, 1, True, None),
        (1, 0, False, 70),
        (1, 1, True, None),
    ]


def test_a_record_with_bytes_behind_it_is_broken() -> None:
    schema = json.dumps({"type": "record", "name": "E", "fields": [{"name": "event_ms", "type": "long"}]})
    plan = with_source(
        audited_plan().model_copy(update={"stream_views": ()}),
        reader_schema=schema,
        writer_schemas={1: schema},
    )
    raw = fastavro_bytes(schema, {"event_ms": 9})
    rows = raw_table(plan, plan.sources[0], [(0, 0, 5, raw, []), (0, 1, 5, raw + b"\x00", [])]).to_pylist()
    assert [(row["broken"], row["event_ms"]) for row in rows] == [(False, 9), (True, None)]


def test_json_is_read_as_json_and_nan_is_null() -> None:
    plan = with_source(audited_plan(), format="json", writer_schemas={})
    raw = b'{"user": 7, "shop": "a", "amount": NaN, "event_ms": 5, "more": [1]}'
    (row,) = raw_table(plan, plan.sources[0], [(0, 0, 5, raw, [])]).to_pylist()
    assert (row["f_user"], row["f_shop"], row["f_amount"], row["f_items"]) == (7, "a", None, None)
    assert "f_more" not in row


@pytest.mark.parametrize("quarantine", [True, False])
def test_fields_are_those_that_views_and_quarantine_need(quarantine: bool) -> None:
    expected = (ExpectationSpec(field="note", categories=("n",), quarantine=quarantine),)
    plan = with_source(audited_plan(), expectations=expected)
    names = raw_table(plan, plan.sources[0], []).column_names
    assert ("f_note" in names) == quarantine
    assert {"f_user", "f_shop", "f_amount", "f_items"} < {*names}
