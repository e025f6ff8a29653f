"""Every way to spoil one record of a range: refused, or read as fastavro reads it, in bounded memory."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import fastavro
import pytest

from headrace.schemas.avro import AvroDecoder, encode_confluent

SCHEMA = {
    "type": "record",
    "name": "Event",
    "fields": [
        {"name": "flag", "type": "boolean"},
        {"name": "number", "type": ["null", "long"]},
        {"name": "skipped", "type": {"type": "map", "values": {"type": "array", "items": "long"}}},
        {"name": "text", "type": ["string", "null"]},
        {
            "name": "inner",
            "type": {"type": "record", "name": "Inner", "fields": [{"name": "x", "type": "double"}]},
        },
        {"name": "colour", "type": {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}},
        {"name": "code", "type": {"type": "fixed", "name": "Code", "size": 3}},
        {"name": "nulls", "type": {"type": "array", "items": "null"}},
        {"name": "wide", "type": ["null", "long", "string", {"type": "array", "items": "string"}]},
        {"name": "last", "type": "int"},
    ],
}
RECURSIVE = {**SCHEMA, "fields": [*SCHEMA["fields"], {"name": "next", "type": ["null", "Event"]}]}  # type: ignore[misc]
VALUE = {
    "flag": True,
    "number": -1_000_000,
    "skipped": {"k": [1, 300]},
    "text": "né",
    "inner": {"x": 0.5},
    "colour": "BLUE",
    "code": b"abc",
    "nulls": [None, None],
    "wide": ["a", "b"],
    "last": 5,
    "next": None,
}
NEEDED = ["flag", "number", "text", "colour", "code", "last"]
NUMBERS = {
    "2^60": b"\x80" * 8 + b"\x20",
    "2^31": b"\x80\x80\x80\x80\x10",
    "2^24": b"\x80\x80\x80\x10",
    "least": b"\xff" * 9 + b"\x01",
    "-1": b"\x01",
    "overlong zero": b"\x80" * 9 + b"\0",
    "eleven bytes": b"\x80" * 10 + b"\0",
    "65 bits": b"\xff" * 9 + b"\x02",
    "endless": b"\xff" * 40,
}


def spoiled(sound: bytes) -> Iterator[bytes]:
    """Cut at each byte; each bit changed; a number in place of each byte, or before it; more at the end."""
    body = sound[5:]
    for at in range(len(body)):
        yield sound[: 5 + at]
        for bit in range(8):
            yield sound[: 5 + at] + bytes([body[at] ^ 1 << bit]) + body[at + 1 :]
        for number in NUMBERS.values():
            yield sound[: 5 + at] + number + body[at + 1 :]
            yield sound[: 5 + at] + number + body[at:]
            yield sound[: 5 + at] + number
    yield from (sound + b"\0", sound + sound, sound + b"\xff" * 20)


@pytest.mark.parametrize(
    ("schema", "few"),
    [(SCHEMA, 0), (SCHEMA, 9), (RECURSIVE, 0)],
    ids=["by column", "by row", "by fastavro"],
)
def test_whatever_is_done_to_a_record_its_neighbours_are_unharmed_and_memory_is_bounded(
    schema: Any, few: int
) -> None:
    text = json.dumps(schema)
    sound = encode_confluent(text, 1, VALUE)
    decoder, parsed = AvroDecoder(text, {1: text}, NEEDED, few), fastavro.parse_schema(schema)
    want = values_of(decoder.decode([sound]).columns, 0)
    assert None not in want.values()
    bad = list(dict.fromkeys(one for one in spoiled(sound) if one != sound))
    assert len(bad) > 1400
    tracemalloc.start()
    for one in bad:
        decoder.decode([sound, one, sound])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
    for at, one in enumerate(bad):
        decoded = decoder.decode([sound, one, sound])
        assert decoded.errors.keys() <= {1}
        assert values_of(decoded.columns, 0) == values_of(decoded.columns, 2) == want, at
        if 1 in decoded.errors:
            assert set(values_of(decoded.columns, 1).values()) == {None}
        else:
            # The text of skipped fields is not looked at.
            record: Any = fastavro.schemaless_reader(
                io.BytesIO(one[5:]), parsed, None, handle_unicode_errors="replace"
            )
            got = {name: record[name] for name in NEEDED}
            assert values_of(decoded.columns, 1) == {
                name: value.encode() if isinstance(value, str) else value for name, value in got.items()
            }


def test_all_at_once_they_are_judged_as_one_by_one() -> None:
    text = json.dumps(SCHEMA)
    sound = encode_confluent(text, 1, VALUE)
    decoder = AvroDecoder(text, {1: text}, NEEDED)
    bad = list(dict.fromkeys(spoiled(sound)))
    together = decoder.decode([payload for one in bad for payload in (one, sound)])
    assert all(row % 2 == 0 for row in together.errors)
    for at, one in enumerate(bad):
        alone = decoder.decode([one])
        assert together.errors.get(2 * at) == alone.errors.get(0)
        assert values_of(together.columns, 2 * at) == values_of(alone.columns, 0)


def values_of(columns: Any, row: int) -> dict[str, Any]:
    return {n: c.values[row].item() if c.valid[row] else None for n, c in columns.items()}
