"""What a logical type is decoded to: times and texts as they are written, decimals as doubles."""

from __future__ import annotations

import json

import numpy as np
import pytest

from headrace.schemas.avro import AvroDecoder, encode_confluent
from headrace.schemas.errors import SchemaError
from tests.support.avro_records import Json, decode, framed, record, varint
from tests.support.decoded import column

MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}


def test_logical_types_stay_raw() -> None:
    schema = record(
        ("at", {"type": "long", "logicalType": "timestamp-micros"}),
        ("day", {"type": "int", "logicalType": "date"}),
        ("id", {"type": "string", "logicalType": "uuid"}),
        ("tags", {"type": "array", "items": "string"}),
    )
    value = {"at": 1 << 60, "day": 20_000, "id": "not checked", "tags": ["x"]}
    plain = schema.replace("logicalType", "ignored")
    decoded = decode(schema, [encode_confluent(plain, 1, value)], "at", "day", "id")
    assert {name: column(decoded, name) for name in decoded.columns} == {
        "at": [1 << 60],
        "day": [20_000],
        "id": [b"not checked"],
    }


def decimals(scale: int, size: int | None = None) -> Json:
    kind = {"type": "fixed", "name": "F", "size": size} if size else {"type": "bytes"}
    return {**kind, "logicalType": "decimal", "precision": 9, "scale": scale}


def test_decimals_are_the_nearest_double_of_any_length() -> None:
    unscaled = [
        0,
        1,
        -1,
        127,
        128,
        -128,
        -129,
        12345,
        -(1 << 31),
        1 << 53,
        (1 << 53) + 1,
        1 << 62,
        -(1 << 70),
        10**40,
    ]
    bodies = []
    for value in unscaled:
        size = value.bit_length() // 8 + 1
        bodies.append(bytes([2 * size]) + value.to_bytes(size, "big", signed=True))
    bodies += [b"\0", b"\x14" + b"\xff" * 9 + b"\x85", b"\x06\0\0\0"]  # none, and more bytes than needed
    decoded = decode(
        record(("a", decimals(2)), ("b", "long")), [framed(body + b"\x02") for body in bodies], "a", "b"
    )
    assert decoded.errors == {}
    assert column(decoded, "a") == [value / 100 for value in unscaled] + [0.0, -1.23, 0.0]


def test_fixed_and_nullable_decimals_and_their_defaults() -> None:
    writer = record(("a", ["null", decimals(3, size=5)]), ("b", "long"))
    fields = [
        {"name": "a", "type": ["null", decimals(3, size=5)]},
        {"name": "c", "type": decimals(1), "default": "\u0019"},
    ]
    reader = json.dumps({"type": "record", "name": "Event", "fields": fields})
    payloads = [
        framed(b"\0\x02"),
        framed(b"\x02" + (-1500).to_bytes(5, "big", signed=True) + b"\x02"),
        framed(b"\x02\0"),
    ]
    for few in (0, 9):
        decoded = AvroDecoder(reader, {1: writer}, ["a", "c"], few).decode(payloads)
        assert list(decoded.errors) == [2]
        assert column(decoded, "a") == [None, -1.5, None]
        assert column(decoded, "c") == [2.5, 2.5, None]
        assert decoded.columns["a"].values.dtype == np.float64


def test_a_decimal_that_is_no_double_is_an_error() -> None:
    huge = (10**400).to_bytes(168, "big")
    decoded = decode(record(("a", decimals(2))), [framed(varint(168) + huge), framed(b"\x02\x64")], "a")
    assert decoded.errors == {0: "field 'a': a decimal of 168 bytes is no double"}
    assert column(decoded, "a") == [None, 1.0]


@pytest.mark.parametrize(
    ("wrote", "wants", "message"),
    [
        (MICROS, MILLIS, "is timestamp-micros in writer schema 1, which cannot be read as timestamp-millis"),
        ({"type": "int", "logicalType": "date"}, MILLIS, "is date in writer schema 1"),
        (decimals(3), decimals(2), r"is decimal\(9, 3\) in writer schema 1.*read as decimal\(9, 2\)"),
        ("bytes", decimals(2), "is no decimal in writer schema 1"),
        ("string", decimals(2), "is no decimal in writer schema 1"),
        (["string", decimals(2)], decimals(2), "is string or decimal in writer schema 1"),
        ("long", MILLIS, None),
        (MILLIS, "long", None),
        (MILLIS, "double", None),
        (decimals(2), "bytes", None),
        ({"type": "string", "logicalType": "uuid"}, "string", None),
        ("string", {"type": "string", "logicalType": "uuid"}, None),
    ],
)
def test_a_value_that_means_something_else_is_not_read_as_if_it_did_not(
    wrote: Json, wants: Json, message: str | None
) -> None:
    if message is None:
        AvroDecoder(record(("a", wants)), {1: record(("a", wrote))}, ["a"])
        return
    with pytest.raises(SchemaError, match=message):
        AvroDecoder(record(("a", wants)), {1: record(("a", wrote))}, ["a"])
