"""Spark's text of columns as an Avro schema, with what is no column left out or named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.featurestore.compile.spark_schema import avro_schema_of


def fields(text: str) -> list[dict[str, Any]]:
    return list(json.loads(avro_schema_of(text))["fields"])


def test_columns_that_are_none_are_left_out_of_a_spark_schema() -> None:
    text = (
        "a ARRAY<STRUCT<x: INT, y: DECIMAL(4, 2)>>, `b c` MAP<STRING, INT> COMMENT 'x, y', "
        "d DECIMAL(10, 2) COMMENT 'NOT NULL', e char(3) not  null"
    )
    assert fields(text) == [
        {"name": "d", "type": ["null", "double"], "default": None},
        {"name": "e", "type": "string"},
    ]


@pytest.mark.parametrize(
    ("declared", "avro"),
    [
        ("BOOLEAN", "boolean"),
        ("tinyint", "int"),
        ("Integer", "int"),
        ("BIGINT", "long"),
        ("REAL", "float"),
        ("numeric(3)", "double"),
        ("VARCHAR(10)", "string"),
        ("date", "string"),
        ("timestamp", {"type": "long", "logicalType": "timestamp-millis"}),
    ],
)
def test_types_of_spark(declared: str, avro: Any) -> None:
    assert fields(f"x {declared} NOT NULL") == [{"name": "x", "type": avro}]
    assert fields(f"x: {declared}") == [{"name": "x", "type": ["null", avro], "default": None}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "'x' is no column; write name and type, such as: delay DOUBLE"),
        ("x INT,", "'' is no column"),
        ("x FLOATING", "column 'x' has type FLOATING; use boolean, tinyint"),
    ],
)
def test_what_is_no_column_is_named(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fields(text)
