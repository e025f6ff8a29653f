"""The columnar decoder against fastavro, on random schemas, records and damage."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

import fastavro
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.avro import AvroDecoder, Decoded, encode_confluent
from headrace.schemas.avro.reference import ReferenceDecoder
from headrace.schemas.avro.resolution import match_fields, needed_fields
from headrace.schemas.avro.schema import parse_record
from headrace.schemas.errors import RecordError
from tests.support.properties import tries

Json = Any
LONGS = st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from([0, -1, 63, 64, -65, 1 << 56, 1 << 62])
INTS = st.integers(-(1 << 31), (1 << 31) - 1)
TEXTS = st.text(max_size=12) | st.text("aé漢😀", min_size=20, max_size=60)
FIT_TEXTS = TEXTS.filter(lambda text: not text.endswith("\0"))
FIT_BYTES = st.binary(max_size=20).filter(lambda data: not data.endswith(b"\0"))
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 28, "scale": 3}


@dataclass(frozen=True)
class Typed:
    """A type, its values, and the types a reader may read it as (itself included)."""

    schema: Json
    values: st.SearchStrategy[Any]
    readers: tuple[Json, ...]


SCALARS: dict[str, Typed] = {
    "boolean": Typed("boolean", st.booleans(), ("boolean",)),
    "int": Typed("int", INTS, ("int", "long", "float", "double")),
    "long": Typed("long", LONGS, ("long", "float", "double")),
    "float": Typed("float", st.floats(width=32), ("float", "double")),
    "double": Typed("double", st.floats(), ("double",)),
    "string": Typed("string", FIT_TEXTS, ("string", "bytes")),
    "bytes": Typed("bytes", FIT_BYTES, ("bytes",)),
    "timestamp": Typed(
        {"type": "long", "logicalType": "timestamp-millis"}, st.integers(0, 1 << 41), ("long", "double")
    ),
    "micros": Typed(MICROS, LONGS, (MICROS, "long", "double")),
    "time of day": Typed({"type": "int", "logicalType": "time-millis"}, INTS, ("int", "long")),
    "time of day, finer": Typed({"type": "long", "logicalType": "time-micros"}, LONGS, ("long",)),
    "uuid": Typed({"type": "string", "logicalType": "uuid"}, FIT_TEXTS, ("string", "bytes")),
    "decimal": Typed(DECIMAL, st.binary(max_size=12), (DECIMAL,)),
    "date": Typed({"type": "int", "logicalType": "date"}, st.integers(0, 40_000), ("int", "long")),
}

WIDE_UNIONS = [
    Typed(
        ["int", "null", "long"],
        st.none() | INTS | LONGS,
        (["null", "long"], ["long", "null", "int"], ["double", "null"], ["null", "float", "double"]),
    ),
    Typed(
        ["bytes", "string", "null"],
        st.none() | FIT_TEXTS | FIT_TEXTS.map(str.encode),
        (["null", "string"], ["null", "bytes"], ["string", "null", "bytes"]),
    ),
]


def enum(name: str) -> Typed:
    schema = {"type": "enum", "name": name, "symbols": ["A", "BB", "CCC"]}
    wider = {"type": "enum", "name": name, "symbols": ["CCC", "X", "A"], "default": "X"}
    return Typed(schema, st.sampled_from(["A", "BB", "CCC"]), (schema, wider))


def fixed(name: str) -> Typed:
    schema = {"type": "fixed", "name": name, "size": 9}
    values = st.binary(min_size=9, max_size=9).filter(lambda data: not data.endswith(b"\0"))
    return Typed(schema, values, (schema,))


def nullable(inner: Typed, null_first: bool) -> Typed:
    def union(schema: Json) -> Json:
        return ["null", schema] if null_first else [schema, "null"]

    return Typed(union(inner.schema), st.none() | inner.values, tuple(map(union, inner.readers)))


@st.composite
def column_types(draw: st.DrawFn, name: str) -> Typed:
    makers: list[Callable[[], Typed]] = [
        *((lambda typed=typed: typed) for typed in SCALARS.values()),
        lambda: enum(name),
        lambda: fixed(name),
    ]
    typed = draw(st.sampled_from(makers))()
    wrap = draw(st.sampled_from(["plain", "reader only", "null first", "null last", "wide"]))
    if wrap == "wide":
        return draw(st.sampled_from(WIDE_UNIONS))
    if wrap == "plain":
        return typed
    if wrap == "reader only":
        return Typed(typed.schema, typed.values, tuple(["null", schema] for schema in typed.readers))
    return nullable(typed, wrap == "null first")


@st.composite
def other_types(draw: st.DrawFn, name: str) -> Typed:
    """Types of fields that are skipped."""
    inner = draw(column_types(name + "i"))
    shape = draw(st.sampled_from(["plain", "record", "union", "array", "map", "arrays"]))
    if shape == "record":
        schema = {"type": "record", "name": name, "fields": [{"name": "in", "type": inner.schema}]}
        return Typed(schema, st.fixed_dictionaries({"in": inner.values}), ())
    if shape == "union":
        return Typed(["string", "null", "long", "boolean"], st.none() | LONGS | st.booleans() | TEXTS, ())
    if shape == "array":
        return Typed({"type": "array", "items": inner.schema}, st.lists(inner.values, max_size=3), ())
    if shape == "arrays":
        items = {"type": "array", "items": {"type": "array", "items": inner.schema}}
        return Typed(items, st.lists(st.lists(inner.values, max_size=2), max_size=2), ())
    if shape == "map":
        values = st.dictionaries(st.text(max_size=3), inner.values, max_size=3)
        return Typed({"type": "map", "values": inner.schema}, values, ())
    return inner


@dataclass(frozen=True)
class Range:
    """A reader schema, writers by id, the needed fields, and records as (id, bytes)."""

    reader: str
    writers: dict[int, str]
    fields: list[str]
    records: list[tuple[int, bytes]]
    few: int  # read one at a time up to so many, else by the column

    @property
    def payloads(self) -> list[bytes]:
        return [payload for _, payload in self.records]

    def decode(self, payloads: list[bytes | None]) -> Decoded:
        return AvroDecoder(self.reader, self.writers, self.fields, self.few).decode(payloads)

    @property
    def narrow_reader(self) -> str:
        """The reader schema with the needed fields alone: what else a record says does not matter."""
        reader = json.loads(self.reader)
        return json.dumps({**reader, "fields": [f for f in reader["fields"] if f["name"] in self.fields]})

    def expected(self, payload: bytes) -> dict[str, Any]:
        writer = self.writers[int.from_bytes(payload[1:5], "big")]
        stream = io.BytesIO(payload[5:])
        record: Any = fastavro.schemaless_reader(stream, plain(writer), plain(self.narrow_reader))
        kinds = {field["name"]: field["type"] for field in json.loads(self.reader)["fields"]}
        return {name: bare(record[name], kinds[name]) for name in self.fields}


def plain(text: str) -> Any:
    """A schema without logical types, so that fastavro gives raw integers."""

    def strip(schema: Json) -> Json:
        if isinstance(schema, list):
            return [strip(part) for part in schema]
        if isinstance(schema, dict):
            return {key: strip(part) for key, part in schema.items() if key != "logicalType"}
        return schema

    return fastavro.parse_schema(strip(json.loads(text)))


def bare(value: Any, kind: Json) -> Any:
    if isinstance(value, bytes) and DECIMAL in (kind if isinstance(kind, list) else [kind]):
        return float(Decimal(int.from_bytes(value, "big", signed=True)).scaleb(-3, Context(prec=60)))
    return value.encode() if isinstance(value, str) else value


@st.composite
def ranges(draw: st.DrawFn, min_size: int = 0) -> Range:
    columns = [draw(column_types(f"T{n}")) for n in range(draw(st.integers(1, 5)))]
    reader_fields = []
    for number, typed in enumerate(columns):
        field = {
            "name": f"f{number}",
            "type": draw(st.sampled_from(typed.readers)),
            "aliases": [f"old{number}"],
        }
        if field["type"] in ("long", "double", "boolean", "string"):
            field["default"] = {"long": 7, "double": 0.5, "boolean": True, "string": "né"}[field["type"]]
        if isinstance(field["type"], list) and field["type"][0] == "null":
            field["default"] = None
        reader_fields.append(field)
    writers, records = {}, []
    for schema_id in draw(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3, unique=True)):
        schema, values = draw(writers_of(columns, reader_fields))
        writers[schema_id] = schema
        for record in draw(st.lists(values, min_size=min_size, max_size=6)):
            records.append((schema_id, encode_confluent(plain_text(schema), schema_id, record)))
    reader = json.dumps({"type": "record", "name": "R", "fields": draw(st.permutations(reader_fields))})
    needed = draw(st.lists(st.sampled_from(reader_fields), unique_by=lambda field: field["name"]))
    few = draw(st.sampled_from([0, 1000]))
    return Range(reader, writers, [field["name"] for field in needed], draw(st.permutations(records)), few)


def plain_text(text: str) -> str:
    """A union of string and others is written by the first branch that fits: no logical types needed."""
    schema = plain(text)
    return json.dumps({key: part for key, part in schema.items() if not key.startswith("__")})


@st.composite
def writers_of(
    draw: st.DrawFn, columns: list[Typed], reader_fields: list[Json]
) -> tuple[str, st.SearchStrategy[Any]]:
    """A schema that writes the columns renamed, reordered, left out, and others between; its records."""
    fields, values = [], {}
    for number, (typed, reader_field) in enumerate(zip(columns, reader_fields, strict=True)):
        if "default" in reader_field and draw(st.integers(0, 4)) == 0:
            continue
        name = draw(st.sampled_from([f"f{number}", f"old{number}"]))
        fields.append({"name": name, "type": typed.schema})
        values[name] = typed.values
    for number in range(draw(st.integers(0, 3))):
        typed = draw(other_types(f"S{number}"))
        fields.append({"name": f"skip{number}", "type": typed.schema})
        values[f"skip{number}"] = typed.values
    schema = {"type": "record", "name": "R", "namespace": "a.b", "fields": draw(st.permutations(fields))}
    return json.dumps(schema), st.fixed_dictionaries(values)


def cell(decoded: Decoded, name: str, row: int) -> Any:
    column = decoded.columns[name]
    return column.values[row].item() if column.valid[row] else None


def same(got: Any, expected: Any) -> bool:
    if isinstance(expected, float) and math.isnan(expected):
        return isinstance(got, float) and math.isnan(got)
    return type(got) is type(expected) and got == expected


def assert_row(decoded: Decoded, row: int, expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        assert same(cell(decoded, name, row), value), (name, cell(decoded, name, row), value)


def damage(draw: st.DrawFn, payload: bytes) -> bytes:
    """Some bytes of the body changed, and the end cut off or added to."""
    body = bytearray(payload[5:])
    for _ in range(draw(st.integers(0, 3))):
        if body:
            body[draw(st.integers(0, len(body) - 1))] = draw(
                st.sampled_from([0, 1, 2, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)
            )
    cut = draw(st.integers(0, len(body)) | st.just(len(body)))
    return payload[:5] + bytes(body[:cut]) + draw(st.sampled_from([b"", b"", b"\0", b"\xff" * 12]))


@tries(120)
@given(ranges())
def test_columns_equal_fastavro(log: Range) -> None:
    decoded = log.decode(list(log.payloads))
    assert decoded.errors == {}
    assert list(decoded.columns) == log.fields
    for row, payload in enumerate(log.payloads):
        assert_row(decoded, row, log.expected(payload))


@tries(120)
@given(ranges(min_size=1), st.data())
def test_damage_to_one_record_leaves_its_neighbours_alone(log: Range, data: st.DataObject) -> None:
    payloads: list[bytes | None] = list(log.payloads)
    victim = data.draw(st.integers(0, len(payloads) - 1))
    damaged = damage(data.draw, log.payloads[victim])
    payloads[victim] = data.draw(st.just(damaged) | st.none() | st.binary(max_size=8))
    decoded = log.decode(payloads)
    assert set(decoded.errors) <= {victim}
    for row, payload in enumerate(log.payloads):
        if row != victim:
            assert_row(decoded, row, log.expected(payload))
    if victim in decoded.errors:
        assert not any(column.valid[victim] for column in decoded.columns.values())
    else:  # what is accepted, fastavro accepts, and reads the same
        assert_row(decoded, victim, log.expected(payloads[victim] or b""))


@tries(120)
@given(ranges(min_size=1), st.data())
def test_columns_and_record_at_a_time_agree_on_every_damaged_record(log: Range, data: st.DataObject) -> None:
    payloads = [damage(data.draw, payload) for payload in log.payloads]
    decoded = log.decode(list(payloads))
    for row, payload in enumerate(payloads):
        expected = one_at_a_time(log, payload)
        if isinstance(expected, str):
            assert decoded.errors[row] == expected
            # An array that is skipped by its declared size may be damaged within: fastavro finds it.
            known = ("field '", "fastavro cannot read the record")
            assert expected.startswith(known) or "bytes after the record" in expected
        else:
            assert row not in decoded.errors
            assert_row(decoded, row, expected)


def one_at_a_time(log: Range, payload: bytes) -> dict[str, Any] | str:
    """The values of a record, or what is wrong with it."""
    reader = parse_record(log.reader, "the reader schema")
    schema_id = int.from_bytes(payload[1:5], "big")
    writer = parse_record(log.writers[schema_id], f"writer schema {schema_id}")
    matches = match_fields(writer, reader, needed_fields(reader, log.fields))
    try:
        return ReferenceDecoder(writer, matches).decode(payload, 5)
    except RecordError as error:
        return str(error)
