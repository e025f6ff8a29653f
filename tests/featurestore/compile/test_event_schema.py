"""Columns of an event topic, from its Avro schema."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.featurestore.compile.event_schema import EventColumn, event_columns

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}


def column(avro: Any) -> EventColumn:
    schema = {"type": "record", "name": "E", "fields": [{"name": "x", "type": avro}]}
    return event_columns(json.dumps(schema))["x"]


@pytest.mark.parametrize(
    ("avro", "expected"),
    [
        ("int", EventColumn("x", "int")),
        (["null", "string"], EventColumn("x", "string", nullable=True)),
        (["boolean", "null"], EventColumn("x", "boolean", nullable=True)),
        (["float"], EventColumn("x", "float")),
        (["int", "string"], EventColumn("x", "other")),
        (["null", "int", "string"], EventColumn("x", "other", nullable=True)),
        (MILLIS, EventColumn("x", "long", "timestamp-millis")),
        (["null", MILLIS], EventColumn("x", "long", "timestamp-millis", nullable=True)),
        (["null", DECIMAL], EventColumn("x", "double", "decimal", nullable=True)),
        ("bytes", EventColumn("x", "other")),
        ({"type": "array", "items": "int"}, EventColumn("x", "other")),
        ({"type": "enum", "name": "N", "symbols": ["A"]}, EventColumn("x", "string", symbols=("A",))),
        (
            ["null", {"type": "enum", "name": "N", "symbols": ["A", "B"]}],
            EventColumn("x", "string", nullable=True, symbols=("A", "B")),
        ),
        ({"type": "string"}, EventColumn("x", "string")),
    ],
)
def test_a_column_is_the_type_without_null(avro: Any, expected: EventColumn) -> None:
    assert column(avro) == expected


def test_an_enum_may_be_named_again() -> None:
    enum = {"type": "enum", "name": "shops.Kind", "symbols": ["A", "B"]}
    fields = [{"name": "x", "type": enum}, {"name": "y", "type": ["null", "shops.Kind"]}]
    columns = event_columns(json.dumps({"type": "record", "name": "E", "fields": fields}))
    assert columns["y"] == EventColumn("y", "string", nullable=True, symbols=("A", "B"))


def test_numbers_are_whole_or_floating() -> None:
    kinds = ("int", "long", "float", "double", "string", "boolean")
    assert [kind for kind in kinds if column(kind).is_numeric] == ["int", "long", "float", "double"]
    assert [kind for kind in kinds if column(kind).is_floating] == ["float", "double"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Expecting property name"),
        ('"string"', "it is not a record"),
        ('{"type": "array", "items": "int"}', "it is not a record"),
        ('{"type": "record", "name": "E", "fields": [{"name": "x", "type": "nope"}]}', "nope"),
        ('{"type": "record", "name": "E"}', "the record has no fields"),
        ('{"type": "record", "name": "E", "fields": 5}', "the record has no fields"),
    ],
)
def test_what_is_no_record_schema_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        event_columns(text)
