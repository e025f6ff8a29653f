"""Resolution of a writer schema to the needed fields of a reader schema, by the rules of fastavro.

Source: Avro 1.11 specification, "Schema Resolution".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from headrace.schemas.avro.columns import MAX_STRING, Column, Kind, from_objects
from headrace.schemas.avro.logical import Logical, decimal_scale, decimal_value, same_meaning
from headrace.schemas.avro.schema import PRIMITIVES, RecordSchema, Type, type_name
from headrace.schemas.errors import SchemaError
from headrace.schemas.name_hint import name_hint

_KINDS: dict[str, Kind] = {
    "boolean": "boolean",
    "int": "long",
    "long": "long",
    "float": "double",
    "double": "double",
    "bytes": "string",
    "string": "string",
    "enum": "string",
    "fixed": "string",
}
_PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}


@dataclass(frozen=True)
class Needed:
    """A field of the reader schema that becomes a column; `branches` are its types."""

    name: str
    kind: Kind
    branches: tuple[Type, ...]
    aliases: tuple[str, ...]
    default: Column | None  # of one row
    logical: Logical | None = None

    @property
    def scale(self) -> int | None:
        """Digits behind the point, where the field is a decimal."""
        return decimal_scale(self.logical, map(type_name, self.branches))


def needed_fields(reader: RecordSchema, names: Sequence[str]) -> list[Needed]:
    """Return the fields with some names, in that order.

    Raises
    ------
    SchemaError
        When a field is not in the schema, or its type cannot be a column.
    """
    fields = reader.fields
    for name in names:
        if name not in fields:
            raise SchemaError(
                f"field '{name}' is not in {reader.label} '{reader.name}'; {name_hint(name, fields)}"
            )
    return [_needed(reader, fields[name]) for name in dict.fromkeys(names)]


def _needed(reader: RecordSchema, field: dict[str, Any]) -> Needed:
    name, branches = field["name"], reader.branches(field["type"])
    kind = _kind(reader, name, branches)
    for branch in branches:
        if type_name(branch) == "fixed" and branch["size"] > MAX_STRING:
            raise SchemaError(
                f"field '{name}' of {reader.label} is fixed of {branch['size']} bytes, "
                f"a column holds {MAX_STRING}; leave the field out or shorten it"
            )
    field_type = Needed(
        name, kind, tuple(branches), tuple(field.get("aliases", ())), None, reader.logical.get(name)
    )
    return (
        replace(field_type, default=_default(reader, field, field_type)) if "default" in field else field_type
    )


def _kind(reader: RecordSchema, name: str, branches: Sequence[Type]) -> Kind:
    words = [type_name(branch) for branch in branches]
    if decimal_scale(reader.logical.get(name), words) is not None:
        return "double"
    kinds = {_KINDS.get(word) for word in words if word != "null"}
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind is None:
        raise SchemaError(
            f"field '{name}' of {reader.label} is {' or '.join(words) or 'empty union'}, which is no column; "
            "use boolean, int, long, float, double, string, bytes, enum, fixed, decimal, or a union of null "
            "with one"
        )
    return kind


def _default(reader: RecordSchema, field: dict[str, Any], needed: Needed) -> Column:
    where = f"default {field['default']!r} of field '{needed.name}' of {reader.label}"
    try:
        column = from_objects(needed.kind, [_default_value(field["default"], needed)])
    except (OverflowError, TypeError, ValueError) as error:
        raise SchemaError(f"{where} is no {needed.kind} ({error}); correct it") from error
    if needed.kind == "string" and column.values.dtype.itemsize > MAX_STRING:
        raise SchemaError(f"{where} is longer than {MAX_STRING} bytes; shorten it")
    return column


def _default_value(value: Any, needed: Needed) -> Any:
    if value is None or needed.kind not in ("double", "string"):
        return value
    if needed.scale is not None:
        return decimal_value(str(value).encode("latin-1"), needed.scale)
    if needed.kind == "double":
        return float(value)
    # JSON has no bytes: the specification writes those of a default as the characters 0-255.
    raw = {type_name(branch) for branch in needed.branches} <= {"null", "bytes", "fixed"}
    return str(value).encode("latin-1" if raw else "utf-8")


def match_fields(writer: RecordSchema, reader: RecordSchema, needed: Sequence[Needed]) -> dict[str, Needed]:
    """Match needed fields to the fields of a writer: return them by the name of the writer field.

    A needed field that the writer lacks has a default.

    Raises
    ------
    SchemaError
        When the records have different names, a field without default is missing, two fields of the writer
        are one of the reader or the reverse, or the types of a field do not resolve.
    """
    if not _same_name(writer.definition, reader.definition):
        raise SchemaError(
            f"{writer.label} is the record '{writer.name}', {reader.label} is '{reader.name}'; "
            f"add the alias '{writer.name}' to {reader.label}"
        )
    matches: dict[str, Needed] = {}
    for field in needed:
        name = _writer_field(writer, reader, field)
        if name in matches:
            raise SchemaError(
                f"fields '{field.name}' and '{matches[name].name}' of {reader.label} are both field '{name}' "
                f"of {writer.label}; keep one of the aliases"
            )
        if name is not None:
            _refuse_impossible(writer, name, field)
            matches[name] = field
    return matches


def _writer_field(writer: RecordSchema, reader: RecordSchema, field: Needed) -> str | None:
    names = [field.name, *(alias for alias in field.aliases if alias not in reader.fields)]
    written = [name for name in names if name in writer.fields]
    if len(written) > 1:
        raise SchemaError(
            f"fields {written} of {writer.label} are all field '{field.name}' of {reader.label}; "
            "drop an alias"
        )
    if not written and field.default is None:
        raise SchemaError(
            f"field '{field.name}' is not in {writer.label} and has no default; "
            f"give it a default in {reader.label}, or an alias ({name_hint(field.name, writer.fields)})"
        )
    return written[0] if written else None


def _refuse_impossible(writer: RecordSchema, name: str, field: Needed) -> None:
    branches = writer.branches(writer.fields[name]["type"])
    if not any(match(branch, field.branches) is not None for branch in branches):
        wrote, wants = (" or ".join(map(type_name, types)) for types in (branches, field.branches))
        raise SchemaError(
            f"field '{name}' is {wrote} in {writer.label}, which cannot be read as {wants}; "
            f"write {wants}, or give the field another name"
        )
    means = writer.logical.get(name)
    if not same_meaning(means, field.logical if field.scale is not None or field.kind == "long" else None):
        raise SchemaError(
            f"field '{name}' is {means or 'no decimal'} in {writer.label}, which cannot be read as "
            f"{field.logical}; write {field.logical}, or give the field another name"
        )
    if field.scale is not None and "string" in map(type_name, branches):
        raise SchemaError(f"field '{name}' is string or decimal in {writer.label}; write decimals alone")


def match(wrote: Type, branches: Sequence[Type]) -> Type | None:
    """Return the first branch of the reader that a value written as `wrote`, a definition, is read as."""
    return next((branch for branch in branches if _matches(wrote, branch)), None)


def _matches(wrote: Type, wants: Type) -> bool:
    if isinstance(wrote, str) and isinstance(wants, str) and wrote in PRIMITIVES:
        return wrote == wants or wants in _PROMOTIONS.get(wrote, ())
    if not (isinstance(wrote, dict) and isinstance(wants, dict)) or wrote["type"] != wants["type"]:
        return False
    return _same_name(wrote, wants) and wrote.get("size") == wants.get("size")


def _same_name(wrote: dict[str, Any], wants: dict[str, Any]) -> bool:
    short, aliases = wrote["name"].split(".")[-1], wants.get("aliases", ())
    return short == wants["name"].split(".")[-1] or wrote["name"] in aliases or short in aliases
