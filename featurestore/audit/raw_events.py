"""Event topics as tables of the records as they were written, for the audit.

Records are decoded one by one with fastavro and json. Nothing of the engine's decoder is used.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import fastavro
import pyarrow as pa

from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.marks import mark_time_ms
from headrace.schemas.plan import Plan

_ARROW = {"int": pa.int64(), "long": pa.int64(), "float": pa.float64(), "double": pa.float64()}
_HEADER_BYTES = 5  # of Confluent's wire format
_RECORD_COLUMNS = {
    "part": pa.int64(),
    "pos": pa.int64(),
    "appended": pa.int64(),
    "mark": pa.int64(),
    "broken": pa.bool_(),
    "event_ms": pa.int64(),
}

# (partition, offset, append time in epoch ms, value, headers) of a record.
RawRecord = tuple[int, int, int, bytes | None, Iterable[tuple[str, bytes | None]] | None]


def raw_table(plan: Plan, source: SourceSpec, records: Iterable[RawRecord]) -> pa.Table:
    """Decode the records of an event topic into a table, one row per record.

    Returns
    -------
    pyarrow.Table
        ``part`` and ``pos`` (partition and offset); ``appended`` (append time, epoch ms); ``mark`` (the time
        of a time mark, null for an event); ``broken`` (the record cannot be decoded); ``event_ms``; and
        ``f_NAME`` for each field that the views of the source need.
    """
    types = _field_types(plan, source)
    decode = _decoder(source)
    columns: dict[str, list[Any]] = {
        name: [] for name in [*_RECORD_COLUMNS, *(f"f_{name}" for name in types)]
    }
    for part, offset, appended_ms, value, headers in records:
        mark = mark_time_ms(headers) if value is None else None
        event = None if value is None else _event(decode, value)
        event_ms = event and event.get(source.timestamp_field)
        if isinstance(event_ms, int) and source.timestamp_unit == "us":
            event_ms //= 1000
        row = (part, offset, appended_ms, mark, event is None and mark is None, event_ms)
        for name, cell in zip(_RECORD_COLUMNS, row, strict=True):
            columns[name].append(cell)
        for name in types:
            columns[f"f_{name}"].append(event and event.get(name))
    all_types = _RECORD_COLUMNS | {f"f_{name}": kind for name, kind in types.items()}
    return pa.table({name: pa.array(values, all_types[name]) for name, values in columns.items()})


def _event(decode: Callable[[bytes], Any], value: bytes) -> Mapping[str, Any] | None:
    try:
        return {name: _plain(field) for name, field in decode(value).items()}
    except Exception:  # whatever fastavro, json and the bytes themselves give rise to
        return None


def _field_types(plan: Plan, source: SourceSpec) -> dict[str, pa.DataType]:
    """Arrow types of the fields that the views of a source and its quarantine need."""
    views = plan.views_of(source.name)
    needed = {name for view in views for name in view.reads}
    needed |= {expected.field for expected in source.expectations if expected.quarantine}
    fields = {field["name"]: field["type"] for field in json.loads(source.reader_schema)["fields"]}
    return {name: _arrow_type(fields[name]) for name in sorted(needed)}


def _arrow_type(avro: Any) -> pa.DataType:
    if isinstance(avro, list):
        (avro,) = [branch for branch in avro if branch != "null"]
    if isinstance(avro, dict):
        avro = "double" if avro.get("logicalType") == "decimal" else avro["type"]
    return pa.bool_() if avro == "boolean" else _ARROW.get(avro, pa.string())


def _decoder(source: SourceSpec) -> Callable[[bytes], Any]:
    if source.format == "json":
        return json.loads
    reader = _physical_schema(source.reader_schema)
    writers = {number: _physical_schema(text) for number, text in source.writer_schemas.items()}

    def decode(value: bytes) -> Any:
        writer = writers[int.from_bytes(value[1:_HEADER_BYTES], "big")]
        stream = io.BytesIO(value)
        stream.seek(_HEADER_BYTES)
        event = fastavro.schemaless_reader(stream, writer, reader)
        if value[0] or stream.tell() != len(value):
            raise ValueError("these bytes are no record, or more than one")
        return event

    return decode


def _physical_schema(text: str) -> Any:
    """Parse a schema without logical types but decimals: views see the number or text that was written."""
    return fastavro.parse_schema(_without_logical_types(json.loads(text)))


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_logical_types(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    is_decimal = schema.get("logicalType") == "decimal"
    return {
        name: _without_logical_types(value)
        for name, value in schema.items()
        if name != "logicalType" or is_decimal
    }


def _plain(value: Any) -> Any:
    """Decimals as floats, NaN as null, bytes as text."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    return value.decode() if isinstance(value, bytes) else value
