"""The columns of an event topic, read from its Avro schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
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
        Its Avro type, without the ``null`` of a union. A decimal is a double, an enum a string.
    nullable
        Whether the union has ``null``.
    symbols
        Of an enum.
    """

    name: str
    kind: Kind
    logical_type: str | None = None
    nullable: bool = False
    symbols: tuple[str, ...] = ()

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
    EventColumn(name='delay', kind='double', logical_type=None, nullable=True, symbols=())
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
    enums = dict(_enums(raw))
    return {field["name"]: _column(field["name"], field["type"], enums) for field in raw["fields"]}


def _enums(avro: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the name, without its namespace, and the symbols of each enum that a schema defines."""
    for part in avro if isinstance(avro, list) else avro.values() if isinstance(avro, dict) else ():
        yield from _enums(part)
    if isinstance(avro, dict) and avro.get("type") == "enum":
        yield _local(avro["name"]), tuple(avro["symbols"])


def _local(name: str) -> str:
    return name.rpartition(".")[2]


def _column(name: str, avro: Any, enums: Mapping[str, tuple[str, ...]]) -> EventColumn:
    if isinstance(avro, list):
        branches = [branch for branch in avro if branch != "null"]
        column = _column(name, branches[0], enums) if len(branches) == 1 else EventColumn(name, "other")
        return replace(column, nullable="null" in avro)
    if isinstance(avro, dict):
        if decimal_scale(next(iter(logical_types(avro)), None), [str(avro["type"])]) is not None:
            return EventColumn(name, "double", "decimal")
        if avro["type"] == "enum":
            return EventColumn(name, "string", symbols=tuple(avro["symbols"]))
        inner = _column(name, avro["type"], enums)
        return EventColumn(name, inner.kind, avro.get("logicalType"))
    if _local(avro) in enums and avro not in _KINDS:
        return EventColumn(name, "string", symbols=enums[_local(avro)])
    return EventColumn(name, avro if avro in _KINDS else "other")
