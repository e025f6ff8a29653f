"""Spark's text ``carrier STRING, left_at TIMESTAMP``, which Feast documents for JSON events, as Avro schema.

Every field may be null or missing, as in Spark, unless it is NOT NULL.
"""

from __future__ import annotations

import json
import re
from typing import Any

_TYPES: dict[str, Any] = {
    "boolean": "boolean",
    "tinyint": "int",
    "byte": "int",
    "smallint": "int",
    "short": "int",
    "int": "int",
    "integer": "int",
    "bigint": "long",
    "long": "long",
    "float": "float",
    "real": "float",
    "double": "double",
    "decimal": "double",
    "dec": "double",
    "numeric": "double",
    "string": "string",
    "varchar": "string",
    "char": "string",
    "date": "string",
    "timestamp": {"type": "long", "logicalType": "timestamp-millis"},
}
_LEFT_OUT = {"binary", "array", "map", "struct", "interval", "variant", "timestamp_ntz", "void"}
_COLUMN = re.compile(r"(`[^`]+`|\w+)\s*:?\s+(\w+)(.*)", re.DOTALL)


def avro_schema_of(text: str) -> str:
    """Return the Avro schema, in JSON, of a record with these fields.

    Fields of types that are no column, such as arrays, are left out.

    Raises
    ------
    ValueError
        When a part of the text is no column; the message names it.

    Examples
    --------
    >>> schema = json.loads(avro_schema_of("carrier STRING NOT NULL, delay DOUBLE, notes ARRAY<STRING>"))
    >>> for field in schema["fields"]:
    ...     print(field)
    {'name': 'carrier', 'type': 'string'}
    {'name': 'delay', 'type': ['null', 'double'], 'default': None}
    """
    columns = [_field(column) for column in _split(text)]
    return json.dumps({"type": "record", "name": "Event", "fields": [c for c in columns if c is not None]})


def _split(text: str) -> list[str]:
    """Split at commas that are in no brackets and in no quotes."""
    parts, depth = [""], 0
    for token in re.findall(r"'[^']*'|`[^`]*`|.", text, re.DOTALL):
        depth += (token in "<(") - (token in ">)")
        if token == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += token
    return [part.strip() for part in parts]


def _field(column: str) -> dict[str, Any] | None:
    match = _COLUMN.fullmatch(column)
    if match is None:
        raise ValueError(f"'{column}' is no column; write name and type, such as: delay DOUBLE")
    name, word, rest = match[1].strip("`"), match[2].lower(), match[3].upper()
    if word in _LEFT_OUT:
        return None
    if word not in _TYPES:
        raise ValueError(f"column '{name}' has type {match[2]}; use {', '.join(_TYPES)}")
    if re.search(r"\bNOT\s+NULL\b", re.sub(r"'[^']*'", "", rest)):
        return {"name": name, "type": _TYPES[word]}
    return {"name": name, "type": ["null", _TYPES[word]], "default": None}
