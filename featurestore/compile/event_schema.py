"""The columns of an event topic, read from its Avro schema."""

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

    Attributes
    ----------
    kind
        Its Avro type, without the ``null`` of a union. A decimal is a double.
    nullable
        Whether the union has ``null``.
    """

    name: str
    kind: Kind
    logical_type: str | None = None
    nullable: bool = False

    @property
    def is_floating(self) -> bool:
        return self.kind in ("float", "double")

    @property
    def is_numeric(self) -> bool:
        return self.is_floating or self.kind in ("int", "long")


def event_columns(schema: str) -> dict[str, EventColumn]:
    """Return the fields of a record schema, by name.

    Raises
    ------
    ValueError
        When the text is not an Avro record schema; the message says why.

    Examples
    --------
    >>> fields = [{"name": "carrier", "type": "string"}, {"name": "delay", "type": ["null", "double"]}]
    >>> columns = event_columns(json.dumps({"type": "record", "name": "Departure", "fields": fields}))
    >>> columns["delay"]
    EventColumn(name='delay', kind='double', logical_type=None, nullable=True)
    """
    raw = json.loads(schema)
    if not isinstance(raw, dict) or raw.get("type") != "record":
        raise ValueError("it is not a record")
    if not isinstance(raw.get("fields"), list):
        raise ValueError("the record has no fields")
    try:
        fastavro.parse_schema(raw)
    except (SchemaParseException, UnknownType) as error:
        raise ValueError(str(error)) from error
    return {field["name"]: _column(field["name"], field["type"]) for field in raw["fields"]}


def _column(name: str, avro: Any) -> EventColumn:
    if isinstance(avro, list):
        branches = [branch for branch in avro if branch != "null"]
        column = _column(name, branches[0]) if len(branches) == 1 else EventColumn(name, "other")
        return replace(column, nullable="null" in avro)
    if isinstance(avro, dict):
        if decimal_scale(next(iter(logical_types(avro)), None), [str(avro["type"])]) is not None:
            return EventColumn(name, "double", "decimal")
        inner = _column(name, avro["type"])
        return EventColumn(name, inner.kind, avro.get("logicalType"))
    return EventColumn(name, avro if avro in _KINDS else "other")
