"""What the columns of an event topic are, read from its Avro schema."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Literal

import fastavro
from fastavro.schema import SchemaParseException, UnknownType

from headrace.schemas.avro.logical import decimal_scale, logical_types

Kind = Literal["int", "long", "float", "double", "string", "boolean", "other"]
_KINDS: tuple[Kind, ...] = ("int", "long", "float", "double", "string", "boolean")


@dataclass(frozen=True)
class EventColumn:
    """One field of the event record.

    `kind` is its Avro type with ``null`` taken out of a union, which `nullable` tells; that of a decimal is
    double.
    """

    name: str
    kind: Kind
    logical_type: str | None = None
    nullable: bool = False

    @property
    def is_integer(self) -> bool:
        return self.kind in ("int", "long")

    @property
    def is_numeric(self) -> bool:
        return self.kind in ("int", "long", "float", "double")


def event_columns(schema: str) -> dict[str, EventColumn]:
    """The fields of a record schema, by name.

    Raises
    ------
    ValueError
        When the text is not an Avro record schema; the message says why.
    """
    raw = json.loads(schema)
    if not isinstance(raw, dict) or raw.get("type") != "record":
        raise ValueError("it is not a record")
    try:
        fastavro.parse_schema(raw)
    except (SchemaParseException, UnknownType) as error:
        raise ValueError(str(error)) from error
    return {field["name"]: _column(field["name"], field["type"]) for field in raw["fields"]}


def _column(name: str, avro: Any) -> EventColumn:
    if isinstance(avro, list):
        rest = [branch for branch in avro if branch != "null"]
        column = _column(name, rest[0]) if len(rest) == 1 else EventColumn(name, "other")
        return replace(column, nullable="null" in avro)
    if isinstance(avro, dict):
        if decimal_scale(next(iter(logical_types(avro)), None), [str(avro["type"])]) is not None:
            return EventColumn(name, "double", "decimal")
        inner = _column(name, avro["type"])
        return EventColumn(name, inner.kind, avro.get("logicalType"))
    return EventColumn(name, avro if avro in _KINDS else "other")
