"""Event topics as tables of what was written, for those who check the engine.

Records are read one by one with fastavro and json: nothing of the engine's decoding is used.
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
from headrace.streams.state.shuffle import check_header

_ARROW = {"int": pa.int64(), "long": pa.int64(), "float": pa.float64(), "double": pa.float64()}
_HEADER_BYTES = 5  # of Confluent's wire format
FIXED = {
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
    """Records of an event topic as a table.

    Columns: ``part``, ``pos`` (partition and offset), ``appended``, ``mark`` (of a time mark, else null),
    ``broken`` (not readable), ``event_ms``, and each field the views need by its name with ``f_`` before it.
    """
    kinds = _kinds(plan, source)
    decode = _decoder(source)
    columns: dict[str, list[Any]] = {name: [] for name in [*FIXED, *(f"f_{name}" for name in kinds)]}
    for part, offset, appended_ms, value, headers in records:
        mark = mark_time_ms(headers) if value is None else None
        event: Mapping[str, Any] | None = None
        if value is not None:
            try:
                event = {name: _plain(x) for name, x in decode(value).items()}
            except Exception:  # whatever the libraries find wrong
                event = None
        moment = event and event.get(source.timestamp_field)
        if isinstance(moment, int) and source.timestamp_unit == "us":
            moment //= 1000
        fixed = (part, offset, appended_ms, mark, event is None and mark is None, moment)
        for name, each in zip(FIXED, fixed, strict=True):
            columns[name].append(each)
        for name in kinds:
            columns[f"f_{name}"].append(event and event.get(name))
    types = FIXED | {f"f_{name}": kind for name, kind in kinds.items()}
    return pa.table({name: pa.array(values, types[name]) for name, values in columns.items()})


def heard_of_block(raw: bytes, definition: str) -> tuple[int, int] | None:
    """Source partition and the offset behind the records of a block of the shuffle; None when it was made for
    views of another definition."""
    header = json.loads(raw[4 : 4 + int.from_bytes(raw[:4], "little")])
    check_header(header)
    return (header["partition"], header["next"]) if header["definition"] == definition else None


def _kinds(plan: Plan, source: SourceSpec) -> dict[str, pa.DataType]:
    """Types of the fields that the views on a source need."""
    views = plan.views_of(source.name)
    needed = {name for view in views for name in view.reads}
    needed |= {expected.field for expected in source.expectations if expected.quarantine}
    fields = {field["name"]: field["type"] for field in json.loads(source.reader_schema)["fields"]}
    return {name: _arrow(fields[name]) for name in sorted(needed)}


def _arrow(kind: Any) -> pa.DataType:
    if isinstance(kind, list):
        (kind,) = [one for one in kind if one != "null"]
    if isinstance(kind, dict):
        kind = "double" if kind.get("logicalType") == "decimal" else kind["type"]
    return pa.bool_() if kind == "boolean" else _ARROW.get(kind, pa.string())


def _decoder(source: SourceSpec) -> Callable[[bytes], Any]:
    if source.format == "json":
        return json.loads
    reader = fastavro.parse_schema(_raw(json.loads(source.reader_schema)))
    writers = {n: fastavro.parse_schema(_raw(json.loads(text))) for n, text in source.writer_schemas.items()}

    def decode(value: bytes) -> Any:
        writer = writers[int.from_bytes(value[1:_HEADER_BYTES], "big")]
        stream = io.BytesIO(value)
        stream.seek(_HEADER_BYTES)
        found = fastavro.schemaless_reader(stream, writer, reader)
        if value[0] or stream.tell() != len(value):
            raise ValueError("this is no record, or more than one")
        return found

    return decode


def _raw(schema: Any) -> Any:
    """The schema without logical types but decimals: views see the number or the text that was written."""
    if isinstance(schema, list):
        return [_raw(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    logical = schema.get("logicalType") == "decimal"
    return {name: _raw(part) for name, part in schema.items() if name != "logicalType" or logical}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    return value.decode() if isinstance(value, bytes) else value
