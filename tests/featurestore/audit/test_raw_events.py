"""Records of an event topic become rows of a table as the worker reads them, readable or not."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro

from headrace.featurestore.audit.raw_events import raw_table
from headrace.schemas.feature_specs import ExpectationSpec, FieldSpec, SourceSpec
from headrace.schemas.marks import mark_headers
from headrace.schemas.plan import Plan
from headrace.streams.log.records import LogRecord, LogRecords
from tests.support.audit_scene import audited_plan


def fastavro_bytes(schema: str, event: dict[str, Any]) -> bytes:
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(json.loads(schema)), event)
    return b"\x00\x00\x00\x00\x01" + body.getvalue()


def with_source(plan: Plan, **changes: Any) -> Plan:
    return plan.model_copy(update={"sources": (plan.sources[0].model_copy(update=changes),)})


def rows_of(plan: Plan, source: SourceSpec, *partitions: list[Any]) -> list[dict[str, Any]]:
    """The rows of values and headers, by partition."""
    ranges = []
    for partition, values in enumerate(partitions):
        records = [
            LogRecord(offset, 5, None, *(each if isinstance(each, tuple) else (each,)))
            for offset, each in enumerate(values)
        ]
        ranges.append((partition, LogRecords.of(records)))
    return raw_table(plan, source, ranges).to_pylist()


def test_logical_types_are_numbers_and_texts_as_they_are_written() -> None:
    """A time in microseconds is one in milliseconds, rounded down."""
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
    event = {"at": -1, "day": 19_000, "id": "8b0f5a9e-5f4e-4a35-8f6f-0f6f7a1d2c3b"}
    (row,) = rows_of(plan, source, [fastavro_bytes(schema, event)])
    assert (row["event_ms"], row["f_day"], row["f_id"]) == (-1, 19_000, event["id"])


def test_records_nobody_can_read_are_broken_and_marks_are_not() -> None:
    plan = audited_plan()
    unreadable, mark = [b"\x00\x00\x00\x00\x07\xff", b""], [(None, mark_headers(70)), None]
    rows = rows_of(plan, plan.sources[0], unreadable, mark)
    assert [(row["part"], row["pos"], row["broken"], row["mark"]) for row in rows] == [
        (0, 0, True, None),
        (0, 1, True, None),
        (1, 0, False, 70),
        (1, 1, True, None),
    ]


def test_bytes_that_are_no_text_are_shown_escaped() -> None:
    fields = [{"name": "event_ms", "type": "long"}, {"name": "shop", "type": "bytes"}]
    schema = json.dumps({"type": "record", "name": "E", "fields": fields})
    plan = with_source(
        audited_plan().model_copy(update={"stream_views": ()}),
        reader_schema=schema,
        writer_schemas={1: schema},
        expectations=(ExpectationSpec(field="shop", null_share=0.0),),
    )
    raw = [
        fastavro_bytes(schema, {"event_ms": 9, "shop": shop}) for shop in (b"\xff\x00a", "größer".encode())
    ]
    rows = rows_of(plan, plan.sources[0], raw)
    assert [row["f_shop"] for row in rows] == ["\\xff\x00a", "größer"]


def test_nan_is_null_and_fields_that_nothing_reads_are_not_there() -> None:
    plan = audited_plan()
    event = {"user": 7, "shop": "a", "amount": float("nan"), "items": None, "event_ms": 5, "note": "n"}
    raw = b"\x00\x00\x00\x00\x07" + fastavro_bytes(plan.sources[0].reader_schema, event)[5:]
    (row,) = rows_of(plan, plan.sources[0], [raw])
    assert (row["f_user"], row["f_shop"], row["f_amount"], row["f_items"]) == (7, "a", None, None)
    assert "f_note" not in row


def test_of_no_records_there_are_the_columns() -> None:
    expected = (ExpectationSpec(field="note", categories=("n",)),)
    plan = with_source(audited_plan(), expectations=expected)
    names = raw_table(plan, plan.sources[0], []).column_names
    assert {"f_user", "f_shop", "f_amount", "f_items", "f_note"} < {*names}
