"""What the decoder does with each kind of record, good and bad, named one by one."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest

from schemas.avro import AvroDecoder, Decoded, encode_confluent
from schemas.errors import SchemaError

Json = Any
COLOUR = {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
HUGE = b"\x80" * 8 + b"\x20"  # the varint of 2^60


def record(*fields: tuple[str, Json], **more: Json) -> str:
    parts = [{"name": name, "type": kind} for name, kind in fields]
    return json.dumps({"type": "record", "name": "Event", "fields": parts, **more})


def framed(body: bytes, schema_id: int = 1) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big") + body


def decode(schema: str, payloads: list[bytes | None], *fields: str) -> Decoded:
    """Decoded by the column and one by one, which is the same."""
    by_column, by_row = (AvroDecoder(schema, {1: schema}, fields, few).decode(payloads) for few in (0, 1000))
    assert by_row.errors == by_column.errors
    for name in fields:
        assert repr(column(by_row, name)) == repr(column(by_column, name))
    return by_column


def column(decoded: Decoded, name: str) -> list[Any]:
    found = decoded.columns[name]
    return [v if ok else None for v, ok in zip(found.values.tolist(), found.valid.tolist(), strict=True)]


SOUND = {
    "boolean": b"\x01",
    "int": b"\x02",
    "long": b"\x02",
    "float": b"\0" * 4,
    "double": b"\0" * 8,
    "string": b"\x04ok",
    "bytes": b"\x04ok",
    "fixed": b"abcd",
    "enum": b"\x02",
    "union": b"\x02\x02",
}
NEIGHBOUR = record(("before", "long"), ("field", "string"), ("after", "long"))


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        ("boolean", b"\x02", "field 'field': boolean byte 2 is neither 0 nor 1"),
        ("boolean", b"", "field 'field': boolean of 1 bytes, 0 are left"),
        ("int", b"\x80\x80\x80\x80\x20", "field 'field': int 4294967296 is beyond 32 bits"),
        ("long", b"\x80" * 10 + b"\x00", "field 'field': varint of more than 10 bytes"),
        ("long", b"\xff" * 9 + b"\x02", "field 'field': varint beyond 64 bits"),
        ("long", b"\x80\x80", "field 'field': varint of 1 bytes, 0 are left"),
        ("float", b"\0\0\0", "field 'field': float of 4 bytes, 3 are left"),
        ("double", b"\0" * 7, "field 'field': double of 8 bytes, 7 are left"),
        ("string", b"\x06ab", "field 'field': string of 3 bytes, 2 are left"),
        ("string", b"\x03abc", "field 'field': string of -2 bytes, 3 are left"),
        ("string", HUGE + b"abc", "field 'field': string of 1152921504606846976 bytes, 3 are left"),
        ("string", b"\xff" * 9 + b"\x01", "field 'field': string of -9223372036854775808 bytes, 0 are left"),
        ("string", b"\x06ab\xff", "field 'field': b'ab\\xff' is not UTF-8 (invalid start byte at byte 2)"),
        ("string", b"\x06\xed\xa0\x80", "field 'field': b'\\xed\\xa0\\x80' is not UTF-8"),
        ("string", b"\x06ab\0", "field 'field': b'ab\\x00' ends in a NUL byte, which a column cannot hold"),
        ("string", b"\x82\x10" + b"x" * 1025, "field 'field': 1025 bytes (b'xxxxx"),
        ("bytes", b"\x02\0", "field 'field': b'\\x00' ends in a NUL byte, which a column cannot hold"),
        ({"type": "fixed", "name": "F", "size": 4}, b"abc", "field 'field': fixed of 4 bytes, 3 are left"),
        (COLOUR, b"\x04", "field 'field': symbol of the enum 2 of 2"),
        (COLOUR, b"\x01", "field 'field': symbol of the enum -1 of 2"),
        (["null", "long"], b"\x04", "field 'field': branch of the union 2 of 2"),
        (["null", "long"], b"\x01", "field 'field': branch of the union -1 of 2"),
        ("long", b"\x02\x07\x08", "2 bytes after the record, which writer schema 1 ends at byte 6"),
    ],
)
def test_a_malformed_record_is_named_and_its_neighbours_are_unharmed(
    kind: Json, body: bytes, reason: str
) -> None:
    word = kind["type"] if isinstance(kind, dict) else "union" if isinstance(kind, list) else kind
    sound = SOUND[word]
    decoded = decode(record(("field", kind)), [framed(sound), framed(body), framed(sound)], "field")
    assert list(decoded.errors) == [1]
    assert decoded.errors[1].startswith(reason)
    assert decoded.columns["field"].valid.tolist() == [True, False, True]
    values = column(decoded, "field")
    assert values[0] == values[2]
    assert not decoded.columns["field"].values[1]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (None, "no value; Avro records cannot be null"),
        (b"", "0 bytes, too short for the Confluent header of 5 bytes"),
        (b"\0\0\0\0", "4 bytes, too short for the Confluent header of 5 bytes"),
        (b"\x01\0\0\0\x01\x02", "magic byte 1 is not 0: not in Confluent wire format"),
        (b'{"a": 1}', "magic byte 123 is not 0: not in Confluent wire format"),
        (framed(b"\x02", 9), "schema id 9 is unknown; known: 1"),
        (framed(b"\x02", 2**32 - 1), "schema id 4294967295 is unknown; known: 1"),
        (framed(b""), "field 'a': varint of 1 bytes, 0 are left"),
    ],
)
def test_a_payload_that_is_no_framed_record_is_an_error(payload: bytes | None, reason: str) -> None:
    decoded = decode(record(("a", "long")), [framed(b"\x02"), payload, framed(b"\x04")], "a")
    assert decoded.errors == {1: reason}
    assert column(decoded, "a") == [1, None, 2]


def test_a_record_whose_bytes_run_into_the_next_one_is_found() -> None:
    whole = framed(b"\x02" + b"\x06abc" + b"\x04")
    runs_over = framed(b"\x02" + b"\x10abc")  # eight bytes declared; with the next record's header they exist
    decoded = decode(NEIGHBOUR, [whole, runs_over, whole], "before", "field", "after")
    assert decoded.errors == {1: "field 'field': string of 8 bytes, 3 are left"}
    assert column(decoded, "field") == [b"abc", None, b"abc"]
    assert column(decoded, "after") == [2, None, 2]


def test_skipped_fields_are_checked_but_for_their_text() -> None:
    schema = record(("text", "string"), ("flag", "boolean"), ("a", "long"))
    payloads = [
        framed(b"\x02\xff\x01\x02"),
        framed(b"\x02x\x02\x02"),
        framed(b"\x82\x10" + b"x" * 1025 + b"\0\x04"),
    ]
    decoded = decode(schema, list(payloads), "a")
    assert decoded.errors == {1: "field 'flag': boolean byte 2 is neither 0 nor 1"}
    assert column(decoded, "a") == [1, None, 2]


def test_every_record_of_a_range_may_be_bad() -> None:
    decoded = decode(record(("a", "string")), [framed(b"\x06ab"), None, framed(b"\x02\xff")], "a")
    assert list(decoded.errors) == [0, 1, 2]
    assert column(decoded, "a") == [None, None, None]


def test_an_empty_range_has_empty_columns() -> None:
    decoded = decode(record(("a", "string"), ("b", ["null", "double"])), [], "a", "b")
    assert decoded.errors == {}
    assert [len(c.values) for c in decoded.columns.values()] == [0, 0]
    assert decoded.columns["b"].values.dtype == np.float64


def test_a_record_without_fields_is_its_header_alone() -> None:
    decoded = decode(record(), [framed(b""), framed(b"\0")])
    assert decoded.columns == {}
    assert decoded.errors == {1: "1 bytes after the record, which writer schema 1 ends at byte 5"}


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


def test_varints_longer_than_they_need_be_are_read() -> None:
    bodies = [b"\x80" * n + b"\x02" for n in range(9)] + [b"\x82" + b"\x80" * 8 + b"\0"]
    decoded = decode(record(("a", "long")), [framed(body) for body in bodies], "a")
    assert decoded.errors == {}
    assert column(decoded, "a") == [1 << (7 * n) for n in range(9)] + [1]


@pytest.mark.filterwarnings("error")
def test_nan_of_any_bits_is_nan() -> None:
    bodies = [b"\x01\0\x80\x7f", b"\0\0\xc0\x7f", b"\xff" * 4]
    decoded = decode(record(("a", "float")), [framed(body) for body in bodies], "a")
    assert np.isnan(decoded.columns["a"].values).all()
    assert decoded.columns["a"].valid.all()


def test_utf8_is_checked_per_record() -> None:
    texts = [b"\xc3", b"\xa9", "é".encode(), "漢字漢字".encode(), b"\xff\xff", b"a" * 16, "ééééé".encode()]
    texts *= 1500
    decoded = decode(record(("a", "string")), [framed(bytes([2 * len(text)]) + text) for text in texts], "a")
    bad = [row for row in range(len(texts)) if row % 7 in (0, 1, 4)]
    assert list(decoded.errors) == bad
    expected = [None if row % 7 in (0, 1, 4) else text for row, text in enumerate(texts)]
    assert column(decoded, "a") == expected


def test_one_long_string_costs_its_column_and_no_more() -> None:
    schema = record(("a", "string"))
    short, long = encode_confluent(schema, 1, {"a": "é" * 3}), encode_confluent(schema, 1, {"a": "é" * 512})
    payloads = [short] * 20_000 + [long, encode_confluent(schema, 1, {"a": "x" * 10_000_000})]
    decoder = AvroDecoder(schema, {1: schema}, ["a"])
    tracemalloc.start()
    decoded = decoder.decode(payloads)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert list(decoded.errors) == [20_001]
    assert column(decoded, "a")[20_000] == ("é" * 512).encode()
    assert peak < 4 * 1024 * len(payloads) + 4 * 10_000_000


NESTED = json.dumps(
    {
        "type": "record",
        "name": "Event",
        "fields": [
            {"name": "a", "type": "long"},
            {"name": "next", "type": ["null", "Event"]},
            {"name": "nulls", "type": {"type": "array", "items": "null"}},
            {"name": "map", "type": {"type": "map", "values": "int"}},
        ],
    }
)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\x02\x00\x00\x00", None),
        (b"\x02\x00\x06\x00\x00", None),
        (b"\x02\x00\x05\x00\x00\x00", None),  # a negative count is followed by the size of the block
        (b"\x02\x00" + HUGE + b"\x00\x00", "field 'nulls': a block of 1152921504606846976 items, more than"),
        (
            b"\x02\x00" + b"\xff" * 9 + b"\x01\x00\x00\x00",
            "field 'nulls': a block of 9223372036854775808 items",
        ),
        (b"\x02\x00\x00\x02" + HUGE, "field 'map': map key of 1152921504606846976 bytes, 0 are left"),
        (
            b"\x02\x02" * 100_000,
            "field 'next.next.next.next.next.next.next.next....': nested deeper than 64 levels",
        ),
        (b"\x02\x00\x00\x00\x00", "1 bytes after the record, which writer schema 1 ends at byte 9"),
    ],
)
def test_maps_arrays_and_recursion_are_bounded(body: bytes, reason: str | None) -> None:
    sound = framed(b"\x04\x02\x06\x00\x00\x00\x00\x02\x02k\x08\x00")
    decoded = decode(NESTED, [sound, framed(body), sound], "a")
    assert column(decoded, "a") == [2, None if reason else 1, 2]
    assert list(decoded.errors) == ([1] if reason else [])
    assert decoded.errors.get(1, "").startswith(reason or "")


def blocks(*counts: int, item: bytes = b"\x01") -> bytes:
    """An array of booleans in blocks; a negative count is followed by the block's size."""
    parts = [varint(n) + (varint(-n) if n < 0 else b"") + item * abs(n) for n in counts]
    return b"".join(parts) + b"\0"


def varint(value: int) -> bytes:
    zigzag, out = (value << 1) ^ (value >> 63), bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes([*out, zigzag])


def test_skipped_arrays_of_any_length_and_blocking_are_stepped_over() -> None:
    schema = record(("flags", {"type": "array", "items": "boolean"}), ("a", "long"))
    arrays = [
        blocks(),
        blocks(1),
        blocks(64),
        blocks(65),
        blocks(300),
        blocks(-3),
        blocks(2, -1, 60),
        blocks(50, 50),
    ]
    bad = [b"\x06\x01\x01", blocks(3, item=b"\x02"), HUGE + b"\x01", b"\x02\x01\x01\x01"]
    payloads = [framed(body + varint(row)) for row, body in enumerate(arrays + bad + arrays)]
    decoded = decode(schema, list(payloads), "a")
    rows = range(len(payloads))
    assert decoded.errors == {
        8: "field 'flags[]': boolean byte 16 is neither 0 nor 1",
        9: "field 'flags[]': boolean byte 2 is neither 0 nor 1",
        10: "field 'flags': a block of 1152921504606846976 items, more than the record has room for",
        11: "field 'flags[]': boolean byte 22 is neither 0 nor 1",  # in a block of -1 items
    }
    assert column(decoded, "a") == [None if row in decoded.errors else row for row in rows]


def test_an_array_of_many_blocks_is_not_left_half_way() -> None:
    schema = record(("items", {"type": "array", "items": "long"}), ("text", "string"), ("a", "long"))
    # After 65 of 66 items the rest would also read as a string of four bytes and a shorter `a`.
    body = varint(64) + b"\x02" * 64 + varint(2) + b"\x02\x08" + b"\0" + b"\x02x" + varint(1000)
    decoded = decode(schema, [framed(body)], "a")
    assert decoded.errors == {}
    assert column(decoded, "a") == [1000]


def test_skipped_maps_are_stepped_over() -> None:
    schema = record(("tags", {"type": "map", "values": ["null", "string"]}), ("a", "long"))
    values = [
        {"tags": {f"k{n}": "v" * n if n % 2 else None for n in range(row)}, "a": row} for row in range(70)
    ]
    decoded = decode(schema, [encode_confluent(schema, 1, value) for value in values], "a")
    assert decoded.errors == {}
    assert column(decoded, "a") == list(range(70))


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
