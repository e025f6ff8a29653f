"""Reader and writer schemas: what is read by way of both, and what is refused with its remedy."""

from __future__ import annotations

import json

import pytest

from headrace.schemas.avro import AvroDecoder, encode_confluent
from headrace.schemas.errors import SchemaError
from tests.support.avro_records import COLOUR, NEIGHBOUR, Json, framed, record
from tests.support.decoded import column


def test_writers_are_added_and_unknown_ids_are_told_apart() -> None:
    decoder = AvroDecoder(record(("a", "long")), {1: record(("a", "int"))}, ["a"])
    payloads = [
        framed(b"\x02"),
        framed(b"\x04", 5),
        None,
        b"\1\0\0\0\6",
        b"\0\0",
        framed(b"\x06", 3),
        framed(b"", 9),
    ]
    assert decoder.unknown_ids(payloads) == [3, 5, 9]
    decoder.add_writer(5, record(("a", "long")))
    decoder.add_writer(3, record(("a", "string")))
    decoder.explain_unknown({9: "nobody knows schema id 9"})
    assert decoder.unknown_ids(payloads) == [9]
    decoded = decoder.decode(payloads)
    assert decoder.decode(payloads * 20).errors == {
        7 * n + row: why for n in range(20) for row, why in decoded.errors.items()
    }
    assert column(decoded, "a")[:2] == [1, 2]
    assert decoded.errors[5].startswith(
        "field 'a' is string in writer schema 3, which cannot be read as long"
    )
    assert decoded.errors[6] == "nobody knows schema id 9"


def test_a_value_the_reader_does_not_take_is_an_error_of_that_record() -> None:
    writer = record(("a", ["null", "long", "string"]), ("c", COLOUR))
    reader = record(("a", "long"), ("c", {**COLOUR, "symbols": ["BLUE"]}))
    values = [{"a": 5, "c": "BLUE"}, {"a": None, "c": "BLUE"}, {"a": "x", "c": "BLUE"}, {"a": 5, "c": "RED"}]
    payloads = [encode_confluent(writer, 3, value) for value in values]
    decoded = AvroDecoder(reader, {3: writer}, ["a", "c"]).decode(payloads)
    assert decoded.errors == {
        1: "field 'a': null where the reader schema has long",
        2: "field 'a': string where the reader schema has long",
        3: "field 'c': symbol 'RED' is not in the reader schema, which has no default symbol",
    }
    assert column(decoded, "c") == [b"BLUE", None, None, None]


def test_schemas_with_and_without_a_field_mix_in_one_range() -> None:
    old, new = record(("a", "int")), record(("b", "string"), ("a", "long"))
    fields = [{"name": "a", "type": "double"}, {"name": "b", "type": "string", "default": "né"}]
    reader = json.dumps({"type": "record", "name": "Event", "fields": fields})
    payloads = [encode_confluent(new, 2, {"a": n, "b": f"b{n}"}) for n in range(3)]
    payloads[1:1] = [encode_confluent(old, 1, {"a": 9})]
    decoder = AvroDecoder(reader, {1: old, 2: new}, ["a", "b"])
    decoded = decoder.decode(payloads)
    assert column(decoded, "a") == [0.0, 9.0, 1.0, 2.0]
    assert column(decoded, "b") == [b"b0", "né".encode(), b"b1", b"b2"]
    assert [decoder.field_kind(name) for name in ("a", "b")] == ["double", "string"]


def test_bytes_default_is_one_byte_per_character() -> None:
    fields = [{"name": "raw", "type": "bytes", "default": "\u00ff\u0001"}]
    reader = json.dumps({"type": "record", "name": "Event", "fields": fields})
    decoded = AvroDecoder(reader, {1: record()}, ["raw"]).decode([framed(b"")])
    assert column(decoded, "raw") == [b"\xff\x01"]


def with_field(**field: Json) -> str:
    return json.dumps({"type": "record", "name": "Event", "fields": [{"name": "a", "type": "long"}, field]})


@pytest.mark.parametrize(
    ("reader", "writer", "field", "message"),
    [
        (
            record(("amount", "long")),
            None,
            "amout",
            "'amout' is not in the reader schema.*mean 'amount'",
        ),
        (
            record(("m", {"type": "map", "values": "long"})),
            None,
            "m",
            "'m' of the reader schema is map.*use",
        ),
        (record(("m", ["int", "string"])), None, "m", "is int or string, which is no column; use"),
        (record(("m", "null")), None, "m", "is null, which is no column"),
        (record(("m", {"type": "fixed", "name": "F", "size": 1025})), None, "m", "fixed of 1025 bytes"),
        (
            record(("m", "long")),
            record(("m", "string")),
            "m",
            "string in writer schema 1.*be read as long",
        ),
        (
            record(("m", "long")),
            record(("n", "long")),
            "m",
            "not in writer schema 1 and has no default",
        ),
        (
            record(("m", "long")),
            record(("m", "long"), name="Other"),
            "m",
            "record 'Other'.*add the alias",
        ),
        (record(("a", "long"), ("a", "int")), None, "a", "the reader schema has two fields 'a'; rename"),
        ('"long"', None, "a", "is a long; the schema of a topic must be a record"),
        ('["null"]', None, "a", "is a union; the schema of a topic must be a record"),
        ("{", None, "a", "the reader schema: not JSON"),
        (record(("a", "nope")), None, "a", "the reader schema: unknown type 'nope'"),
        ('{"type": "record"}', None, "a", "the reader schema is not a valid Avro schema.*correct it"),
        ("5", None, "a", "the reader schema is not a valid Avro schema"),
        (
            with_field(name="b", type="bytes", default="漢"),
            None,
            "b",
            "default '漢' of field 'b'.*correct",
        ),
        (
            with_field(name="b", type="string", default="x" * 1025),
            None,
            "b",
            "longer than 1024 bytes",
        ),
        (
            with_field(name="b", type="long", default=1 << 70),
            None,
            "b",
            "default .* of field 'b' .* no long",
        ),
        (
            with_field(name="b", type="long", aliases=["x", "y"]),
            record(("a", "long"), ("x", "long"), ("y", "long")),
            "b",
            "fields .'x', 'y'. of writer schema 1 are all field 'b'",
        ),
    ],
)
def test_a_schema_that_cannot_work_is_refused_with_the_remedy(
    reader: str, writer: str | None, field: str, message: str
) -> None:
    with pytest.raises(SchemaError, match=message):
        AvroDecoder(reader, {1: writer or reader}, [field])


def test_two_needed_fields_cannot_be_one_of_the_writer() -> None:
    fields = [{"name": name, "type": "long", "aliases": ["x"]} for name in ("a", "b")]
    reader = json.dumps({"type": "record", "name": "Event", "fields": fields})
    with pytest.raises(SchemaError, match="fields 'b' and 'a' of the reader schema are both field 'x'"):
        AvroDecoder(reader, {1: record(("x", "long"))}, ["a", "b"])


def test_field_kind_of_a_field_that_is_no_column_names_the_nearest() -> None:
    decoder = AvroDecoder(NEIGHBOUR, {}, ["before"])
    with pytest.raises(SchemaError, match="field 'befor' is not decoded; did you mean 'before'"):
        decoder.field_kind("befor")
