"""Arrays, maps and recursion, which no column takes: stepped over, and bounded."""

from __future__ import annotations

import json

import pytest

from headrace.schemas.avro import encode_confluent
from tests.support.avro_records import HUGE, decode, framed, record, varint
from tests.support.decoded import column

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
