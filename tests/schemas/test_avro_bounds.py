"""What a schema of a few kilobytes may cost: parts are compiled once, and what is free is bounded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.schemas.avro import AvroDecoder, schema_fingerprint
from headrace.schemas.avro.bounds import MAX_FREE, MAX_STEPS
from headrace.schemas.errors import SchemaError
from tests.support.avro_records import framed

LEAVES: dict[str, Any] = {
    "long": "long",
    "null": "null",
    "empty": {"type": "record", "name": "Empty", "fields": []},
    "nothing": {"type": "fixed", "name": "Nothing", "size": 0},
    "optional": ["null", "long"],
    "array": {"type": "array", "items": "long"},
}


def diamond(levels: int, leaf: Any, wrapped: bool = False) -> str:
    """A record of two of a type that has two of a type ...: 2^levels leaves in a line a level."""
    kind: Any = {"type": "record", "name": "R0", "fields": [{"name": "a", "type": leaf}]}
    for level in range(1, levels + 1):
        again: Any = f"R{level - 1}"
        fields = [{"name": "a", "type": kind}, {"name": "b", "type": ["null", again] if wrapped else again}]
        kind = {"type": "record", "name": f"R{level}", "fields": fields}
    return event([{"name": "deep", "type": kind}])


def event(fields: list[dict[str, Any]]) -> str:
    known = {"name": "a", "type": "long"}
    return json.dumps({"type": "record", "name": "Event", "fields": [known, *fields]})


READER = event([])


@pytest.mark.parametrize("leaf", ["long", "optional", "array"])
@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("few", [0, 48])
def test_a_diamond_of_records_is_compiled_once_and_read_as_far_as_records_go(
    leaf: str, wrapped: bool, few: int
) -> None:
    text = diamond(40, LEAVES[leaf], wrapped)
    decoder = AvroDecoder(READER, {1: READER, 2: text}, ["a"], few=few)
    payloads = [framed(b"\x06"), *(b"\0\0\0\0\x02" + body for body in (b"", b"\x02" * 50, b"\0" * 2_000))]
    decoded = decoder.decode(payloads)
    assert decoded.columns["a"].values[0] == 3
    assert list(decoded.errors) == [1, 2, 3]


def test_a_small_diamond_is_read_by_columns_and_by_rows_alike() -> None:
    text = diamond(5, "long", wrapped=True)
    body = b"\x02" + b"\x06" + b"\0" * 5  # a = 1, then the first of each pair, the second null
    for few in (0, 48):
        decoder = AvroDecoder(READER, {2: text}, ["a"], few=few)
        decoded = decoder.decode([b"\0\0\0\0\x02" + body] * 3)
        assert (decoded.errors, decoded.columns["a"].values.tolist()) == ({}, [1, 1, 1])


@pytest.mark.parametrize("leaf", ["null", "empty", "nothing"])
def test_a_diamond_of_nothing_is_refused(leaf: str) -> None:
    text = diamond(40, LEAVES[leaf])
    with pytest.raises(SchemaError, match="parts that occupy no bytes, more than 1000; take fields of null"):
        AvroDecoder(READER, {2: text}, ["a"])
    decoder = AvroDecoder(READER, {1: READER}, ["a"])
    decoder.add_writer(2, text)  # as of a registry: its records are errors
    assert list(decoder.decode([framed(b"\x02"), b"\0\0\0\0\x02\x02"]).errors) == [1]


def test_many_fields_are_read_whatever_reads_them() -> None:
    for count in (MAX_FREE, MAX_STEPS + 1):
        text = event([{"name": f"f{n}", "type": "long"} for n in range(count)])
        decoded = AvroDecoder(READER, {1: text}, ["a"]).decode([framed(b"\x04" * (count + 1))])
        assert (decoded.errors, decoded.columns["a"].values.tolist()) == ({}, [2])


DEEP = [
    "[" * 100_000,
    '{"type":"array","items":' * 100_000,
    '{"type":"array","items":' * 5_000 + '"long"' + "}" * 5_000,
    '{"type":"array","items":' * 300 + '"long"' + "}" * 300,
]


@pytest.mark.parametrize("text", DEEP)
def test_a_schema_that_is_nested_deeply_is_a_schema_error(text: str) -> None:
    with pytest.raises(SchemaError, match=r"nested|not JSON"):
        schema_fingerprint(text)
    with pytest.raises(SchemaError, match=r"nested|not JSON"):
        AvroDecoder(READER, {2: text}, ["a"])


def test_a_long_chain_of_named_records_ends_in_no_recursion() -> None:
    fields: list[dict[str, Any]] = [
        {"name": "f0", "type": {"type": "record", "name": "C0", "fields": [{"name": "x", "type": "long"}]}}
    ]
    for n in range(1, 2_000):
        inner = {"type": "record", "name": f"C{n}", "fields": [{"name": "x", "type": f"C{n - 1}"}]}
        fields.append({"name": f"f{n}", "type": inner})
    fields.append({"name": "many", "type": {"type": "array", "items": "C1999"}})
    decoder = AvroDecoder(READER, {1: READER}, ["a"])
    decoder.add_writer(2, event(fields))
    assert list(decoder.decode([framed(b"\x02"), b"\0\0\0\0\x02" + b"\x02" * 2_002]).errors) == [1]


@pytest.mark.parametrize(("count", "longest"), [(100_000, 200), (2, 9_000_000)])
def test_an_enum_is_as_large_as_its_table(count: int, longest: int) -> None:
    """The symbols of an enum are one array, each as wide as the longest."""
    symbols = ["L" * longest, *(f"S{n}" for n in range(count - 1))]
    schema = {"type": "record", "name": "E", "fields": [{"name": "a", "type": _enum(symbols)}]}
    with pytest.raises(SchemaError, match=rf"enum 'N' has {count} symbols of up to {longest} characters"):
        AvroDecoder(json.dumps(schema), {}, ["a"])


def test_symbols_of_a_large_enum_are_looked_up_at_once() -> None:
    own = {"type": "record", "name": "E", "fields": [{"name": "a", "type": _enum(["S0", "S199999"])}]}
    other = _enum([f"S{n}" for n in range(200_000)])
    written = {"type": "record", "name": "E", "fields": [{"name": "a", "type": other}]}
    decoder = AvroDecoder(json.dumps(own), {2: json.dumps(written)}, ["a"])
    values = [b"\0\0\0\0\x02\0", b"\0\0\0\0\x02\x02"]
    decoded = decoder.decode(values)
    assert decoded.columns["a"].values[0] == b"S0"
    assert list(decoded.errors) == [1]
    assert "S1" in decoded.errors[1]


def _enum(symbols: list[str]) -> dict[str, object]:
    return {"type": "enum", "name": "N", "symbols": symbols}
