"""The decoder of topics of JSON objects: each is parsed by itself, into a struct of the needed fields.

A record that the parser or a column refuses is doubtful: `RecordReader` decides about it. Records are never
joined before they are parsed: an open bracket of one cannot be closed in the next.
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
from headrace.schemas.json_events.reference import Instant, RecordReader
from headrace.schemas.json_nesting import MAX_DEPTH, nested_too_deep
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

    A missing field has its default, else null where the schema allows it. Fields that are not declared are
    ignored; of a field that occurs twice, the last counts. A whole number may be written as 1.0, and a
    timestamp as text with a zone (RFC 3339). Nothing else is converted.

    Parameters
    ----------
    schema
        Avro schema in JSON that declares the events.
    fields
        Fields that become columns; all others are skipped.
    few
        Up to so many payloads are decoded record by record: calls of numpy would cost more than they save.

    Raises
    ------
    SchemaError
        When the schema or a field cannot be used; names the remedy.

    Examples
    --------
    >>> schema = '{"type": "record", "name": "click", "fields": [{"name": "price", "type": "long"}]}'
    >>> decoded = JsonDecoder(schema, ["price"]).decode([b'{"price": 5}', b'{"price": "5"}'])
    >>> decoded.columns["price"].values.tolist(), decoded.columns["price"].valid.tolist()
    ([5, 0], [True, False])
    >>> list(decoded.errors)
    [1]
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
        """Return the kind of a column.

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
        """Decode `n` payloads. A payload that cannot be decoded is an error; the others are not affected."""
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
        """Decode the records that are not doubtful."""
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
        """Parse records into structs; return those that can be parsed, with their rows."""
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
    """Return the type that the parser makes of a record: fields f0, f1, … by their names in JSON."""
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
