"""Encoding as producers do, and ids for schemas in no registry."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from headrace.schemas.avro import AvroDecoder, ConfluentEncoder, encode_confluent, schema_fingerprint
from headrace.schemas.errors import RecordError, SchemaError

FIELDS = [
    {"name": "key", "type": "string"},
    {"name": "small", "type": ["null", "int"], "default": None},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
]
SCHEMA = json.dumps({"type": "record", "name": "Event", "namespace": "a.b", "fields": FIELDS})


def test_bytes_are_magic_id_and_body() -> None:
    assert encode_confluent(SCHEMA, 258, {"key": "k", "at": 1}) == b"\0\0\0\x01\x02" + b"\x02k\x00\x02"


def test_the_decoder_reads_what_the_encoder_writes() -> None:
    encoder = ConfluentEncoder(SCHEMA, 2**32 - 1)
    at = datetime(2013, 1, 1, tzinfo=UTC)
    payloads = [encoder.encode({"key": "é", "small": 5, "at": at}), encoder.encode({"key": "", "at": 7})]
    decoded = AvroDecoder(SCHEMA, {2**32 - 1: SCHEMA}, ["key", "small", "at"]).decode(payloads)
    assert decoded.errors == {}
    assert decoded.columns["key"].values.tolist() == ["é".encode(), b""]
    assert decoded.columns["small"].valid.tolist() == [True, False]
    assert decoded.columns["at"].values.tolist() == [1_356_998_400_000, 7]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"key": "k", "at": "x"}, "a.b.Event.at is <x> of type <class 'str'>"),
        ({"key": "k", "at": 1 << 63}, "a.b.Event.at is <9223372036854775808>"),
        ({"at": 1}, "key"),
        ({"key": "\ud800", "at": 1}, "surrogates not allowed"),
        (
            {"key": "k", "at": 1, "small": 1 << 31},
            "field 'small': 2147483648 is beyond the 32 bits",
        ),
    ],
)
def test_a_record_that_does_not_fit_is_refused_by_name(record: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        encode_confluent(SCHEMA, 1, record)


@pytest.mark.parametrize(
    ("schema", "schema_id", "message"),
    [
        (SCHEMA, 1 << 32, "schema id 4294967296 does not fit the header"),
        (SCHEMA, -1, "schema id -1 does not fit the header"),
        ('"string"', 1, "schema 1 is a string; the schema of a topic must be a record"),
    ],
)
def test_an_encoder_without_a_usable_schema_is_refused(schema: str, schema_id: int, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        ConfluentEncoder(schema, schema_id)


def test_fingerprint_is_31_bits_and_the_same_however_the_schema_is_written() -> None:
    spread = json.dumps({**json.loads(SCHEMA), "doc": "events"}, indent=2, sort_keys=True)
    canonical = (
        '{"name":"a.b.Event","type":"record","fields":[{"name":"key","type":"string"},'
        '{"name":"small","type":["null","int"]},{"name":"at","type":"long"}]}'
        '[["at.", ["timestamp-millis", 0, 0]]]'
    )
    expected = int(hashlib.sha256(canonical.encode()).hexdigest()[:8], 16) & 0x7FFF_FFFF
    assert schema_fingerprint(spread) == schema_fingerprint(SCHEMA) == expected


def test_fingerprint_is_of_what_a_record_says_and_not_of_how_it_is_read() -> None:
    def at(kind: Any, **more: Any) -> int:
        fields = [{"name": "at", "type": kind, **more}]
        return schema_fingerprint(json.dumps({"type": "record", "name": "Event", "fields": fields}))

    plain = at("long")
    assert at("long", default=1, aliases=["when"], doc="when") == plain == at({"type": "long"})
    logical = [at({"type": "long", "logicalType": name}) for name in ("timestamp-millis", "timestamp-micros")]
    inside = [at(["null", {"type": "array", "items": {"type": "long", "logicalType": "timestamp-millis"}}])]
    assert len({plain, at(["null", {"type": "array", "items": "long"}]), *logical, *inside}) == 5


def test_fingerprint_differs_where_the_bytes_differ() -> None:
    other = json.dumps({**json.loads(SCHEMA), "fields": FIELDS[:2]})
    assert schema_fingerprint(other) != schema_fingerprint(SCHEMA)


def test_fingerprint_of_no_schema_is_refused() -> None:
    with pytest.raises(SchemaError, match="unknown type 'nope'"):
        schema_fingerprint('"nope"')
