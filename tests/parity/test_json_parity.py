"""The columnar JSON decoder against Python's own parser and rules written out here, on records and damage."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.avro import AvroDecoder, Decoded, encode_confluent
from headrace.schemas.json_events.decoder import JsonDecoder
from tests.support.properties import tries

Json = Any
SYMBOLS = ["A", "BB", "C_1"]
LIMITS = {"int": 1 << 31, "long": 1 << 63}
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(max_size=12) | st.text('aé漢😀\0"\\', max_size=40)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "int": st.integers(-(1 << 31), (1 << 31) - 1),
    "long": st.integers(-(1 << 63), (1 << 63) - 1),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "double": FLOATS,
    "string": TEXTS,
    "enum": st.sampled_from(SYMBOLS),
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@dataclass(frozen=True)
class Field:
    name: str
    word: str
    nullable: bool
    default: tuple[Any] | None

    @property
    def schema(self) -> Json:
        kind: Json = (
            {"type": "enum", "name": f"E{self.name}", "symbols": SYMBOLS}
            if self.word == "enum"
            else self.word
        )
        first_null = self.default is None or self.default[0] is None
        union = (["null", kind] if first_null else [kind, "null"]) if self.nullable else kind
        return {"name": self.name, "type": union} | ({"default": self.default[0]} if self.default else {})

    def values(self) -> st.SearchStrategy[Any]:
        return VALUES[self.word] | st.none() if self.nullable else VALUES[self.word]


@st.composite
def fields_of(draw: st.DrawFn) -> list[Field]:
    found = []
    for name in draw(st.lists(st.sampled_from("abcdef"), unique=True, min_size=1, max_size=5)):
        word, nullable = draw(st.sampled_from(sorted(VALUES))), draw(st.booleans())
        default = draw(st.none() | st.tuples(VALUES[word].filter(fits)))
        if nullable and draw(st.booleans()):
            default = (None,)
        found.append(Field(name, word, nullable, default))
    return found


def schema_of(fields: list[Field]) -> str:
    return json.dumps({"type": "record", "name": "Event", "fields": [field.schema for field in fields]})


def fits(value: Any) -> bool:
    return not isinstance(value, str) or (len(value.encode()) <= 1024 and not value.endswith("\0"))


@st.composite
def payloads_of(draw: st.DrawFn, fields: list[Field]) -> bytes:
    """A record, mostly as declared, with fields left out and others put in, in any order and writing."""
    record: dict[str, Any] = {}
    for field in fields:
        choice = draw(st.integers(0, 9))
        if choice:
            record[field.name] = draw(field.values() if choice > 1 else ANYTHING)
    record |= draw(st.dictionaries(TEXTS, ANYTHING, max_size=2))
    order = draw(st.permutations(sorted(record)))
    text = json.dumps(
        {name: record[name] for name in order},
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, 1])),
    )
    return text.encode()


class No(Exception):
    """The record is to be refused."""


def expected(payload: bytes, fields: list[Field]) -> dict[str, Any] | None:
    """What the record says, None for one to refuse. That bytes are no UTF-8 counts where they are read."""
    try:
        record = json.loads(payload.decode("utf-8", "surrogateescape"), parse_constant=_refuse)
        if not isinstance(record, dict) or any(map(_lone, _texts(record))):
            return None
        return {field.name: _value(field, record) for field in fields}
    except (ValueError, No):
        return None


def _refuse(constant: str) -> None:
    raise No(constant)


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, inner in value.items() for text in [key, *_texts(inner)]]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [value] if isinstance(value, str) else []


def _lone(text: str) -> bool:
    """Half of a surrogate pair, other than those that stand for bytes that are no UTF-8."""
    return any("\ud800" <= c <= "\udfff" and not "\udc80" <= c <= "\udcff" for c in text)


def _value(field: Field, record: dict[str, Any]) -> Any:
    if field.name not in record:
        if field.default is None and not field.nullable:
            raise No
        value = field.default[0] if field.default else None
        return float(value) if field.word in ("float", "double") and value is not None else value
    value = record[field.name]
    if value is None and field.nullable:
        return None
    if field.word == "boolean" and type(value) is bool:
        return value
    if field.word in LIMITS and type(value) in (int, float) and math.isfinite(value) and value == int(value):
        limit = LIMITS[field.word]
        if -limit <= value < limit and (type(value) is int or abs(value) <= 1 << 53):
            return int(value)
    if field.word in ("float", "double") and type(value) in (int, float):
        return _number(field.word, value)
    if field.word == "string" and type(value) is str and fits(value):
        return value
    if field.word == "enum" and value in SYMBOLS:
        return value
    raise No


def _number(word: str, value: float) -> float:
    try:
        number = float(value)
        number = struct.unpack("f", struct.pack("f", number))[0] if word == "float" else number
    except OverflowError:
        raise No from None
    if math.isinf(number):
        raise No
    return number


def assert_equal(decoded: Decoded, fields: list[Field], payloads: list[bytes]) -> None:
    for row, payload in enumerate(payloads):
        values = expected(payload, fields)
        assert (row in decoded.errors) == (values is None), (payload, decoded.errors.get(row))
        for field in fields:
            column = decoded.columns[field.name]
            value = None if values is None else values[field.name]
            assert bool(column.valid[row]) == (value is not None), (field, payload)
            if value is not None:
                assert column.values[row].item() == (value.encode() if isinstance(value, str) else value)
            else:
                assert not column.values[row]


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[Field], list[bytes]]:
    fields = draw(fields_of())
    return fields, draw(st.lists(payloads_of(fields), max_size=8))


def decode(fields: list[Field], payloads: list[bytes]) -> Decoded:
    """Decoded by the column and one by one, which is the same."""
    schema, names = schema_of(fields), [field.name for field in fields]
    by_column, by_row = (JsonDecoder(schema, names, few).decode(payloads) for few in (0, 1000))
    assert by_row.errors == by_column.errors
    for name in names:
        one, other = by_row.columns[name], by_column.columns[name]
        assert one.values.dtype.kind == other.values.dtype.kind
        assert one.values.tolist() == other.values.tolist()
        assert one.valid.tolist() == other.valid.tolist()
    return by_column


@tries(150)
@given(logs())
def test_columns_equal_a_parse_of_each_record(log: tuple[list[Field], list[bytes]]) -> None:
    assert_equal(decode(*log), *log)


@tries(150)
@given(logs(), st.data())
def test_damage_is_judged_record_by_record(log: tuple[list[Field], list[bytes]], data: st.DataObject) -> None:
    fields, payloads = log
    damaged = [damage(data.draw, payload) if data.draw(st.booleans()) else payload for payload in payloads]
    assert_equal(decode(fields, damaged), fields, damaged)


def damage(draw: st.DrawFn, payload: bytes) -> bytes:
    """Some bytes changed, and the end cut off or added to."""
    body = bytearray(payload)
    for _ in range(draw(st.integers(0, 2))):
        body[draw(st.integers(0, len(body) - 1))] = draw(
            st.sampled_from(b'{}[],:"\\0 \x00\x80\xff') | st.integers(0, 255)
        )
    cut = draw(st.integers(0, len(body)) | st.just(len(body)))
    return bytes(body[:cut]) + draw(st.sampled_from([b"", b"", b"}", b',{"a":1}', b"\n{}", b"\0"]))


@tries(100)
@given(st.data())
def test_the_same_records_in_avro_and_in_json_give_the_same_columns(data: st.DataObject) -> None:
    fields = data.draw(fields_of())
    whole = st.fixed_dictionaries({field.name: field.values().filter(fits) for field in fields})
    records, schema, names = (
        data.draw(st.lists(whole, max_size=8)),
        schema_of(fields),
        [f.name for f in fields],
    )
    from_avro = AvroDecoder(schema, {1: schema}, names).decode(
        [encode_confluent(schema, 1, r) for r in records]
    )
    from_json = decode(fields, [json.dumps(record).encode() for record in records])
    assert from_avro.errors == from_json.errors == {}
    for name in names:
        one, other = from_avro.columns[name], from_json.columns[name]
        assert one.values.dtype.kind == other.values.dtype.kind
        assert one.values.tolist() == other.values.tolist()
        assert one.valid.tolist() == other.valid.tolist()


def test_every_truncation_and_every_changed_bit_of_a_record_leaves_its_neighbours_alone() -> None:
    fields = [
        Field("a", "long", False, None),
        Field("b", "string", True, None),
        Field("c", "double", False, None),
    ]
    sound = json.dumps({"a": -12, "x": [1, {"b": "é"}], "b": 'q"é', "c": 1.5e3}, ensure_ascii=False).encode()
    for bad in [sound[:n] for n in range(len(sound))] + [
        sound[:at] + bytes([sound[at] ^ 1 << bit]) + sound[at + 1 :]
        for at in range(len(sound))
        for bit in range(8)
    ]:
        assert_equal(decode(fields, [sound, bad, sound]), fields, [sound, bad, sound])
