"""JSON objects to columns: each parsed by itself, into a struct of the needed fields and no more.

What the parser or a column refuses is doubtful: `RecordReader` has the last word on it. Records are never
joined, so that what is open in one cannot close in the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Literal, cast

import msgspec
import numpy as np

from headrace.schemas.avro.columns import Column, Decoded, Kind, Rows, from_objects, merge
from headrace.schemas.errors import RecordError, SchemaError
from headrace.schemas.json_events.columns import READERS
from headrace.schemas.json_events.fields import JsonField, json_fields
from headrace.schemas.json_events.reference import MAX_DEPTH, Instant, RecordReader, nested_too_deep
from headrace.schemas.name_hint import name_hint

_Part = tuple[Rows, dict[str, Column]]
_TYPES: dict[str, Any] = {
    "boolean": bool,
    "int": int,
    "long": int,
    "float": float,
    "double": float,
    "string": str,
}
_REFUSALS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class JsonDecoder:
    """Decodes ranges of a topic of JSON objects into columns, as `AvroDecoder` does for Avro.

    A missing field is its default, else null where that is allowed. Fields that are not declared are passed
    over; of a field that comes twice, the last counts. A whole number may be written 1.0; a timestamp may be
    text with a zone, as RFC 3339 has it; nothing else is converted.

    Parameters
    ----------
    schema
        Avro schema in JSON that declares the events.
    fields
        Fields of it that become columns; all others are skipped, not built.
    few
        Up to so many payloads are read one at a time: the calls of numpy cost more than they save.

    Raises
    ------
    SchemaError
        Names what is wrong (schema, field, type) and the remedy.
    """

    def __init__(self, schema: str, fields: Sequence[str], few: int = 24) -> None:
        self._few = few
        self._fields = json_fields(schema, fields)
        self._reader = RecordReader(self._fields)
        self._parse = msgspec.json.Decoder(_struct(self._fields)).decode
        self._columns = [
            (field, attrgetter(f"f{n}"), READERS[field.word]) for n, field in enumerate(self._fields)
        ]

    def field_kind(self, name: str) -> Kind:
        """The kind of a column.

        Raises
        ------
        SchemaError
            When `name` is not one of the decoder's fields.
        """
        kinds = {field.name: field.kind for field in self._fields}
        if name not in kinds:
            raise SchemaError(f"field '{name}' is not decoded; {name_hint(name, kinds)}")
        return kinds[name]

    def decode(self, payloads: Sequence[bytes | None]) -> Decoded:
        """Decode `n` payloads. Nothing is raised; a payload in error does not affect the others."""
        errors: dict[int, str] = {}
        if len(payloads) <= self._few:
            parts = [self._one_by_one(payloads, range(len(payloads)), errors)]
        else:
            parts = [self._by_column(payloads)]
            rest = np.ones(len(payloads), np.bool_)
            rest[parts[0][0]] = False
            if rest.any():
                parts.append(self._one_by_one(payloads, np.flatnonzero(rest).tolist(), errors))
        columns = {
            f.name: merge(f.kind, len(payloads), [(rows, part[f.name]) for rows, part in parts])
            for f in self._fields
        }
        return Decoded(columns, errors)

    def _by_column(self, payloads: Sequence[bytes | None]) -> _Part:
        """The records that are sound at first sight."""
        records, rows = self._parse_all(payloads)
        doubtful = np.zeros(len(records), np.bool_)
        columns = {
            field.name: read(field, list(map(get, records)), doubtful) for field, get, read in self._columns
        }
        if not doubtful.any():
            return rows, columns
        sound = ~doubtful
        return rows[sound], {n: Column(c.values[sound], c.valid[sound]) for n, c in columns.items()}

    def _parse_all(self, payloads: Sequence[bytes | None]) -> tuple[list[Any], Rows]:
        """Structs of the records that can be parsed, and their rows."""
        if all(payloads):
            present = cast(Sequence[bytes], payloads)
            try:
                if max(map(len, present), default=0) <= MAX_DEPTH or not any(map(nested_too_deep, present)):
                    return list(map(self._parse, present)), np.arange(len(present))
            except _REFUSALS:
                pass
        records, rows = [], []
        for row, payload in enumerate(payloads):
            if payload is not None and not nested_too_deep(payload):
                try:
                    records.append(self._parse(payload))
                    rows.append(row)
                except _REFUSALS:
                    continue
        return records, np.array(rows, np.int64)

    def _one_by_one(
        self, payloads: Sequence[bytes | None], rows: Iterable[int], errors: dict[int, str]
    ) -> _Part:
        records, sound = [], []
        for row in rows:
            try:
                records.append(self._reader.read(payloads[row]))
                sound.append(row)
            except RecordError as error:
                errors[row] = str(error)
        columns = {f.name: from_objects(f.kind, [r[f.name] for r in records]) for f in self._fields}
        return np.array(sound, np.int64), columns


def _struct(fields: Sequence[JsonField]) -> type[msgspec.Struct]:
    """The type the parser makes of a record: fields f0, f1, ... by the names they have in JSON."""
    declared: list[Any] = []
    for number, field in enumerate(fields):
        kind = _parsed_as(field)
        declared.append((f"f{number}", kind) if field.required else (f"f{number}", kind, field.default))
    rename = {f"f{number}": field.name for number, field in enumerate(fields)}
    return msgspec.defstruct("Event", declared, rename=rename, kw_only=True, gc=False)


def _parsed_as(field: JsonField) -> Any:
    kind = Literal[field.symbols] if field.word == "enum" else _TYPES[field.word]
    if field.unit is not None:
        kind = kind | Instant
    return kind | None if field.nullable else kind
