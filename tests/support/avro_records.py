"""Avro schemas and records of tests, byte by byte."""

from __future__ import annotations

import json
from typing import Any

from headrace.schemas.avro import AvroDecoder, Decoded
from tests.support.decoded import agreed

Json = Any
COLOUR = {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}
HUGE = b"\x80" * 8 + b"\x20"  # the varint of 2^60


def record(*fields: tuple[str, Json], **more: Json) -> str:
    parts = [{"name": name, "type": kind} for name, kind in fields]
    return json.dumps({"type": "record", "name": "Event", "fields": parts, **more})


def framed(body: bytes, schema_id: int = 1) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big") + body


def decode(schema: str, payloads: list[bytes | None], *fields: str) -> Decoded:
    """Decoded by the column and one by one, which is the same."""
    by_column, by_row = (AvroDecoder(schema, {1: schema}, fields, few).decode(payloads) for few in (0, 1000))
    return agreed(by_column, by_row, *fields)


def varint(value: int) -> bytes:
    zigzag, out = (value << 1) ^ (value >> 63), bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes([*out, zigzag])


NEIGHBOUR = record(("before", "long"), ("field", "string"), ("after", "long"))
