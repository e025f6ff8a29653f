"""What the JSON decoder does with each kind of record, good and bad, named one by one."""

from __future__ import annotations

import json
import math
import tracemalloc
from typing import Any

import numpy as np
import pytest

from headrace.schemas.avro import AvroDecoder, Decoded, encode_confluent
from headrace.schemas.errors import SchemaError
from headrace.schemas.json_events.decoder import JsonDecoder
from tests.support.decoded import agreed, assert_only_the_second_is_bad, column

COLOUR = {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}
FALLBACK = {**COLOUR, "default": "RED"}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
AT_THE_START = "no JSON object: JSON is malformed: invalid character (byte 0); "
NOON_MS = 1_357_041_600_000  # 2013-01-01T12:00:00Z


def schema(**fields: Any) -> str:
    parts = [{"name": name, "type": kind} for name, kind in fields.items()]
    return json.dumps({"type": "record", "name": "Event", "fields": parts})


def decode(text: str, payloads: list[bytes | None], *fields: str) -> Decoded:
    """Decoded by the column and one by one, which is the same."""
    by_column, by_row = (JsonDecoder(text, fields, few).decode(payloads) for few in (0, 1000))
    return agreed(by_column, by_row, *fields)


SOUND = {
    "boolean": b"true",
    "int": b"1",
    "long": b"1",
    "float": b"1",
    "double": b"1",
    "string": b'"ok"',
    "enum": b'"RED"',
}


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("boolean", b"1", "field 'field': 1 where the schema has boolean"),
        ("boolean", b'"true"', "field 'field': 'true' where the schema has boolean"),
        ("long", b'"1"', "field 'field': '1' where the schema has long"),
        ("long", b"true", "field 'field': True where the schema has long"),
        ("long", b"null", "field 'field': None where the schema has long"),
        ("long", b"[1]", "field 'field': an array where the schema has long"),
        ("long", b'{"long": 1}', "field 'field': an object where the schema has long"),
        ("long", b"1.5", "field 'field': 1.5 is no long"),
        ("long", b"9223372036854775808", "field 'field': 9223372036854775808 is beyond the 64 bits of long"),
        ("long", b"-9223372036854775809", "field 'field': -9223372036854775809 is beyond the 64 bits"),
        ("long", b"1e18", "field 'field': 1e+18 is no long"),
        ("int", b"2147483648", "field 'field': 2147483648 is beyond the 32 bits of int"),
        ("long", b"1" * 400, "field 'field': a number of 1326 bits is beyond the 64 bits of long"),
        ("double", b"1" * 400, "field 'field': a number of 1326 bits is beyond a double"),
        ("double", b"1e999", "no JSON object: Number out of range"),
        ("double", b"NaN", "no JSON object: JSON is malformed: invalid character"),
        ("double", b"-Infinity", "no JSON object: JSON is malformed: invalid character"),
        ("double", b"01", "no JSON object: JSON is malformed: invalid number"),
        ("double", b"true", "field 'field': True where the schema has double"),
        ("float", b"1e39", "field 'field': 1e+39 is beyond a float"),
        ("string", b"1", "field 'field': 1 where the schema has string"),
        ("string", b'"a\xff"', "no JSON object: 'utf-8' codec can't decode byte 0xff"),
        ("string", b'"\xed\xa0\x80"', "no JSON object: 'utf-8' codec can't decode byte 0xed"),
        ("string", b'"\\ud800"', "no JSON object: "),
        ("string", b'"a\x01"', "no JSON object: JSON is malformed: invalid character"),
        ("string", b'"a\\u0000"', "field 'field': 'a\\x00' ends in a NUL, which a column cannot hold"),
        ("string", b'"' + b"x" * 1025 + b'"', "field 'field': 1025 bytes ('xxxxx"),
        (COLOUR, b'"GREEN"', "field 'field': symbol 'GREEN' is not in the schema"),
        (MILLIS, b'"2013-01-01T12:00:00"', "field 'field': '2013-01-01T12:00:00' is no time with a zone"),
        (MILLIS, b'"yesterday"', "field 'field': 'yesterday' is no time with a zone"),
        (MILLIS, b'"2013-02-30T12:00:00Z"', "field 'field': '2013-02-30T12:00:00Z' is no time with a zone"),
        ("long", b'"2013-01-01T12:00:00Z"', "field 'field': '2013-01-01T12:00:00Z' where the schema"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_and_its_neighbours_are_unharmed(kind: Any, value: bytes, reason: str) -> None:
    word = kind["type"] if isinstance(kind, dict) else kind
    sound = b'{"other": {"a": [1, "x"]}, "field": ' + SOUND[word] + b"}"
    text = schema(field=kind)
    decoded = decode(text, [sound, b'{"field": ' + value + b"}", sound], "field")
    assert_only_the_second_is_bad(decoded, reason)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (None, "no value; a record is a JSON object"),
        (b"", "no JSON object: Input data was truncated"),
        (b"null", "no JSON object: Expected `object`, got `null`"),
        (b"[1]", "no JSON object: Expected `object`, got `array`"),
        (b'"a"', "no JSON object: Expected `object`, got `str`"),
        (b"{}", "field 'a' is missing, and has no default"),
        (b'{"a": 1', "no JSON object: Input data was truncated"),
        (b'{"a": 1}}', "no JSON object: JSON is malformed: trailing characters"),
        (b'{"a": 1}{"a": 2}', "no JSON object: JSON is malformed: trailing characters"),
        (b'{"a": 1},{"a": 2}', "no JSON object: JSON is malformed: trailing characters"),
        (b'{"a": 1}\n{"a": 2}', "no JSON object: JSON is malformed: trailing characters"),
        (b'{"a": 1,}', "no JSON object: JSON is malformed: trailing comma"),
        (b"{'a': 1}", "no JSON object: JSON is malformed"),
        (b'{"a": 1} // why', "no JSON object: JSON is malformed"),
        (b'{"b": {"a": 1}}', "field 'a' is missing, and has no default"),
        (b'{"A": 1}', "field 'a' is missing, and has no default"),
        (b'{"b": [1, 2, "a": 1}', "no JSON object: JSON is malformed"),
        (b"\xef\xbb\xbf" + b'{"a": 1}', AT_THE_START + "it begins with a byte order mark"),
        ('{"a": 1}'.encode("utf-16"), "no JSON object: "),
        (b"\0\0\0\0\x01\x02", AT_THE_START + "it begins with a zero, as Avro"),
        (b'{"b": ' + b"[" * 100_000 + b"]" * 100_000 + b', "a": 1}', "nested deeper than 256 levels"),
        (b"[" * 100_000, "nested deeper than 256 levels"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, "nested deeper than 256 levels"),
    ],
)  # fmt: skip
def test_what_is_no_record_is_an_error(payload: bytes | None, reason: str) -> None:
    decoded = decode(schema(a="long"), [b'{"a": 1}', payload, b'{"a": 2}'], "a")
    assert list(decoded.errors) == [1]
    assert decoded.errors[1].startswith(reason)
    assert column(decoded, "a") == [1, None, 2]


@pytest.mark.parametrize(
    ("kind", "payload", "value"),
    [
        ("long", b' \t\r\n{ "a" : 1 } \n', 1),
        ("long", b'{"a": 1, "a": 2}', 2),  # the last counts
        ("long", b'{"a": "x", "a": 2}', 2),
        ("long", b'{"\\u0061": 3}', 3),
        ("long", b'{"a": 1.0}', 1),
        ("long", b'{"a": 1e3}', 1000),
        ("long", b'{"a": -0}', 0),
        ("long", b'{"a": 9223372036854775807}', 2**63 - 1),
        ("long", b'{"a": -9223372036854775808}', -(2**63)),
        ("int", b'{"a": -2147483648}', -(2**31)),
        ("double", b'{"a": 1}', 1.0),
        ("double", b'{"a": 18446744073709551617}', 2.0**64),
        ("double", b'{"a": 1e-999}', 0.0),
        ("double", b'{"a": 0.1}', 0.1),
        ("float", b'{"a": 0.1}', float(np.float32(0.1))),
        ("string", '{"a": "é漢😀"}'.encode(), "é漢😀".encode()),
        ("string", b'{"a": "\\ud83d\\ude00\\n\\/"}', "😀\n/".encode()),
        ("string", b'{"a": "a\\u0000b"}', b"a\0b"),
        ("string", b'{"a": ""}', b""),
        ("string", b'{"a": "' + b"x" * 1024 + b'"}', b"x" * 1024),
        (["null", "string"], b'{"a": null}', None),
        (["null", "string"], b"{}", None),
        (["string", "null"], b'{"a": "x"}', b"x"),
        (["null", "int", "long"], b'{"a": 4294967296}', 1 << 32),
        (FALLBACK, b'{"a": "GREEN"}', b"RED"),
        (["null", COLOUR], b'{"a": "BLUE"}', b"BLUE"),
        (MILLIS, b'{"a": 1357041600000}', NOON_MS),
        (MILLIS, b'{"a": "2013-01-01T12:00:00Z"}', NOON_MS),
        (MILLIS, b'{"a": "2013-01-01T13:00:00.5+01:00"}', NOON_MS + 500),
        (MICROS, b'{"a": "2013-01-01 12:00:00.000001Z"}', NOON_MS * 1000 + 1),
        (MILLIS, b'{"a": "1969-12-31T23:59:59.9999Z"}', -1),
        (["null", MILLIS], b'{"a": null}', None),
        ("long", b'{"b": "\\u00e9 [[[", "c": {"a": 7}, "a": 1}', 1),
        ("long", b'{"b": "' + b"[" * 1000 + b'", "a": 1}', 1),
        ("long", b'{"b": [' + b"[],{}," * 1000 + b'0], "a": 1}', 1),
    ],
)  # fmt: skip
def test_values_are_read(kind: Any, payload: bytes, value: Any) -> None:
    decoded = decode(schema(a=kind), [payload, payload], "a")
    assert decoded.errors == {}
    assert column(decoded, "a") == [value, value]


def with_default(kind: Any, default: Any) -> str:
    fields = [{"name": "a", "type": kind, "default": default}]
    return json.dumps({"type": "record", "name": "E", "fields": fields})


@pytest.mark.parametrize(
    ("kind", "default", "value"),
    [("long", 5, 5), ("string", "né", "né".encode()), ("double", 1, 1.0), ("boolean", True, True),
     (["null", "long"], None, None), (["long", "null"], 5, 5), (COLOUR, "BLUE", b"BLUE"), (MILLIS, 7, 7)],
)  # fmt: skip
def test_a_missing_field_is_its_default_and_null_is_not_missing(kind: Any, default: Any, value: Any) -> None:
    nullable = isinstance(kind, list)
    decoded = decode(with_default(kind, default), [b"{}", b'{"a": null}', b'{"b": [1e999]}', b"{}"], "a")
    assert column(decoded, "a") == [value, None, value, value]
    assert list(decoded.errors) == ([] if nullable else [1])


def test_names_that_are_words_of_python_or_hidden_are_names_like_any_other() -> None:
    fields = [{"name": name, "type": "long"} for name in ("class", "_a", "__b", "f0", "None")]
    text = json.dumps({"type": "record", "name": "E", "fields": fields})
    decoded = decode(
        text, [b'{"class": 1, "_a": 2, "__b": 3, "f0": 4, "None": 5}'], *(f["name"] for f in fields)
    )
    assert [column(decoded, str(f["name"])) for f in fields] == [[1], [2], [3], [4], [5]]


def test_columns_are_those_of_the_avro_decoder() -> None:
    text = schema(s="string", n=["null", "long"], x="float", b="boolean", at=MICROS)
    rows = [
        {"s": f"s{n}é", "n": None if n % 3 else n, "x": n / 7, "b": n % 2 == 0, "at": n} for n in range(20)
    ]
    fields = ["at", "b", "n", "s", "x"]
    from_json = decode(text, [json.dumps(row).encode() for row in rows], *fields)
    from_avro = AvroDecoder(text, {1: text}, fields).decode([encode_confluent(text, 1, row) for row in rows])
    assert from_json.errors == from_avro.errors == {}
    for name in fields:
        one, other = from_json.columns[name], from_avro.columns[name]
        assert one.values.dtype.kind == other.values.dtype.kind
        assert one.values.tolist() == other.values.tolist()
        assert one.valid.tolist() == other.valid.tolist()


def test_empty_ranges_and_ranges_of_poison_have_columns() -> None:
    text = schema(s="string", x="double", at=MILLIS)
    assert [len(c.values) for c in decode(text, [], "s", "x", "at").columns.values()] == [0, 0, 0]
    decoded = decode(text, [None, b"", b"{"], "s", "x", "at")
    assert list(decoded.errors) == [0, 1, 2]
    assert column(decoded, "x") == [None] * 3
    assert decode(text, [b"{}", b"x"]).errors.keys() == {1}


def test_one_long_text_costs_its_column_and_no_more() -> None:
    payloads: list[bytes | None] = [b'{"a": "\xc3\xa9"}'] * 20_000
    payloads += [b'{"a": "' + b"x" * 1024 + b'"}', b'{"a": "' + b"x" * 5_000_000 + b'"}']
    decoder = JsonDecoder(schema(a="string"), ["a"])
    tracemalloc.start()
    decoded = decoder.decode(payloads)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert list(decoded.errors) == [20_001]
    assert peak < 4 * 1024 * len(payloads) + 8 * 5_000_000


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("bytes", "field 'a' is bytes, which JSON has no one form for; declare it boolean, int"),
        ({"type": "fixed", "name": "F", "size": 4}, "field 'a' is fixed, which JSON has no one form for"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4}, "which JSON has no one form for"),
        (["string", COLOUR], "field 'a' is string or enum, which JSON has no one form for"),
        (["int", "string"], "which is no column"),
        ({"type": "array", "items": "long"}, "which is no column"),
    ],
)
def test_a_type_without_a_form_in_json_is_refused(kind: Any, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        JsonDecoder(schema(a=kind), ["a"])


def test_field_kind_of_a_field_that_is_no_column_names_the_nearest() -> None:
    decoder = JsonDecoder(schema(before="string"), ["before"])
    assert decoder.field_kind("before") == "string"
    with pytest.raises(SchemaError, match="field 'befor' is not decoded; did you mean 'before'"):
        decoder.field_kind("befor")


def test_the_judgement_of_nesting_does_not_depend_on_the_stack() -> None:
    decoder = JsonDecoder(schema(a="long"), ["a"])
    payloads: list[bytes | None] = [
        b'{"b": ' + b"[" * n + b"]" * n + b', "a": 1}' for n in (255, 256, 257, 700)
    ]

    def deeper(levels: int) -> Decoded:
        return deeper(levels - 1) if levels else decoder.decode(payloads)

    assert decoder.decode(payloads).errors.keys() == deeper(500).errors.keys() == {1, 2, 3}


def test_not_a_number_never_comes_out_of_json() -> None:
    decoded = decode(schema(a="float"), [b'{"a": 3.4028235677973366e38}', b'{"a": 1}'], "a")
    assert list(decoded.errors) == [0]
    assert all(map(math.isfinite, decoded.columns["a"].values.tolist()))
