"""What the decoder does with each kind of record, good and bad, named one by one."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from headrace.schemas.avro import AvroDecoder, encode_confluent
from tests.support.avro_records import COLOUR, HUGE, NEIGHBOUR, Json, decode, framed, record
from tests.support.decoded import assert_only_the_second_is_bad, column

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
    assert_only_the_second_is_bad(decoded, reason)


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
