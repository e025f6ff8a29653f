"""Parsed Avro schemas: the definition of a record without logical types, and an id for it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import fastavro
from fastavro.schema import to_parsing_canonical_form

from headrace.schemas.avro.bounds import refuse_deep, refuse_free, refuse_wide
from headrace.schemas.avro.logical import Logical, every_logical_type, logical_types
from headrace.schemas.errors import SchemaError

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_KEPT = ("type", "name", "aliases", "symbols", "size", "items", "values", "fields", "default")

Type = Any  # a primitive's or definition's name, a definition (dict), or a union (list)


@dataclass(frozen=True)
class RecordSchema:
    """A parsed record schema.

    Attributes
    ----------
    label
        Name of the schema in errors.
    definition
        The schema with full names and without logical types: readers return raw integers and bytes.
    named
        Definitions by full name.
    logical
        Logical type of each field that has one.
    """

    label: str
    definition: dict[str, Any]
    named: dict[str, dict[str, Any]]
    logical: dict[str, Logical]

    @property
    def name(self) -> str:
        return str(self.definition["name"])

    @property
    def fields(self) -> dict[str, dict[str, Any]]:
        return {field["name"]: field for field in self.definition["fields"]}

    def branches(self, kind: Type) -> list[Type]:
        """Return the branches of a union, one for any other type, with definitions in place of names."""
        return [self.lookup(branch) for branch in (kind if isinstance(kind, list) else [kind])]

    def lookup(self, kind: Type) -> Type:
        """Return the definition of a name; any other type as it is."""
        return self.named[kind] if isinstance(kind, str) and kind not in PRIMITIVES else kind


def type_name(kind: Type) -> str:
    """Return Avro's word for a type: ``long``, ``enum``, ``union``."""
    if isinstance(kind, list):
        return "union"
    return str(kind["type"] if isinstance(kind, dict) else kind)


def parse_record(text: str, label: str) -> RecordSchema:
    """Parse the schema of a record.

    Raises
    ------
    SchemaError
        When the text is not JSON, not a valid Avro schema, or not a record with fields of distinct names.
    """
    parsed = parse(text, label)
    if not isinstance(parsed, dict) or parsed["type"] != "record":
        raise SchemaError(f"{label} is a {type_name(parsed)}; the schema of a topic must be a record")
    named: dict[str, Any] = {}
    definition = _plain(parsed, named)
    refuse_free(named, label)
    refuse_wide(named, label)
    for name, count in Counter(field["name"] for field in definition["fields"]).items():
        if count > 1:
            raise SchemaError(f"{label} has two fields '{name}'; rename one of them")
    logical = {
        field["name"]: logical[0] for field in parsed["fields"] if (logical := logical_types(field["type"]))
    }
    return RecordSchema(label, definition, named, logical)


def schema_fingerprint(schema: str) -> int:
    """Return an id for a schema that is in no registry.

    These are 31 bits of the SHA-256 of its parsing canonical form and its logical types.

    The canonical form (Avro 1.11 specification, "Parsing Canonical Form") leaves out documentation,
    defaults and aliases: schemas that differ in those alone write the same records and have the same id.

    Raises
    ------
    SchemaError
        When the text is not a valid Avro schema.
    """
    parsed = parse(schema, "schema")
    logical = every_logical_type(parsed)
    text = to_parsing_canonical_form(parsed) + (json.dumps(logical) if logical else "")
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") & 0x7FFF_FFFF


def parse(text: str, label: str) -> Any:
    """Parse any schema as fastavro does, logical types and all; `label` names it in the SchemaError."""
    try:
        raw = json.loads(text)
        refuse_deep(raw, label)
        return fastavro.parse_schema(raw)
    except SchemaError:
        raise
    except RecursionError as error:
        raise SchemaError(f"{label} is nested deeper than JSON is read; flatten it") from error
    except ValueError as error:
        raise SchemaError(f"{label}: {_problem(error)}; write an Avro schema in JSON") from error
    except Exception as error:  # fastavro meets a malformed schema with any of a dozen exceptions
        raise SchemaError(f"{label} is not a valid Avro schema: {error!r}; correct it") from error


def _problem(error: ValueError) -> str:
    return f"not JSON ({error})" if isinstance(error, json.JSONDecodeError) else f"unknown type '{error}'"


def _plain(kind: Type, named: dict[str, Any]) -> Type:
    """Copy a schema without logical types, `{"type": "long"}` as ``long``; names are collected in `named`."""
    if isinstance(kind, list):
        return [_plain(branch, named) for branch in kind]
    if not isinstance(kind, dict):
        return kind
    if kind["type"] in PRIMITIVES:
        return kind["type"]
    copy = {key: kind[key] for key in _KEPT if key in kind}
    if "name" in copy:
        named[copy["name"]] = copy
    for key in ("items", "values"):
        if key in copy:
            copy[key] = _plain(copy[key], named)
    if "fields" in copy:
        copy["fields"] = [{**field, "type": _plain(field["type"], named)} for field in copy["fields"]]
    return copy
