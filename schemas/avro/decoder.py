"""The decoder of topics of Avro in Confluent wire format: ranges to columns, with any mix of schema ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.avro.columns import Column, Decoded, Kind, Rows, from_objects, merge
from headrace.schemas.avro.cursor import Cursor, Joined, join
from headrace.schemas.avro.program import Program, compile_program
from headrace.schemas.avro.reference import ReferenceDecoder
from headrace.schemas.avro.resolution import Needed, match_fields, needed_fields
from headrace.schemas.avro.rows import Doubtful, RowProgram
from headrace.schemas.avro.schema import RecordSchema, parse_record
from headrace.schemas.errors import RecordError, SchemaError
from headrace.schemas.name_hint import name_hint

HEADER_BYTES = 5  # a zero, then the schema id, four bytes, big-endian

_Part = tuple[Rows, Mapping[str, Column]]


@dataclass(frozen=True)
class _Writer:
    """The programs that read records of one writer schema."""

    program: Program | None  # None: the reference decoder alone
    rows: RowProgram | None
    reference: ReferenceDecoder
    matched: tuple[Needed, ...]
    defaults: Mapping[str, Column]  # of one row: needed fields this writer does not have

    def decode_one(self, payload: bytes) -> dict[str, Any]:
        """Return values by needed field: None for null, strings as bytes.

        Raises
        ------
        RecordError
            From the reference decoder.
        """
        if self.rows is not None:
            try:
                return self.rows.run(payload, HEADER_BYTES) | self.absent
            except Doubtful:
                pass
        return self.reference.decode(payload, HEADER_BYTES) | self.absent

    @cached_property
    def absent(self) -> dict[str, Any]:
        """Return the values of fields that are not in the writer schema."""
        return {name: c.values[0].item() if c.valid[0] else None for name, c in self.defaults.items()}


class AvroDecoder:
    """Decodes ranges of a topic into columns.

    A record is decoded with the writer schema that its header names, resolved to the reader schema by the
    rules of fastavro. Logical types remain raw integers; decimals become doubles. Recursive schemas, schemas
    with arrays in arrays, and doubtful records are decoded record by record by fastavro, all others column by
    column.

    Parameters
    ----------
    reader_schema
        Avro schema in JSON that records are read as.
    writer_schemas
        Avro schemas in JSON by Confluent schema id.
    fields
        Fields of the reader schema that become columns; all others are skipped.
    few
        Up to so many payloads are decoded record by record.

    Raises
    ------
    SchemaError
        When a schema or a field cannot be used; names the remedy.
    """

    def __init__(
        self, reader_schema: str, writer_schemas: Mapping[int, str], fields: Sequence[str], few: int = 48
    ) -> None:
        self._few = few
        reader = parse_record(reader_schema, "the reader schema")
        self._reader, self._needed = reader, needed_fields(reader, fields)
        self._writers = {
            schema_id: self._writer(schema_id, text) for schema_id, text in writer_schemas.items()
        }
        self._unreadable: dict[int, str] = {}
        self._unknown: dict[int, str] = {}

    def _writer(self, schema_id: int, text: str) -> _Writer:
        label = f"writer schema {schema_id}"
        try:
            return _writer(parse_record(text, label), self._reader, self._needed)
        except RecursionError as error:
            raise SchemaError(f"{label} has types within types without end; flatten it") from error

    def unknown_ids(self, payloads: Sequence[bytes | None]) -> list[int]:
        """Return the ids in headers of payloads that have no writer schema here, ascending."""
        heads = {payload[:HEADER_BYTES] for payload in payloads if payload}
        ids = {int.from_bytes(h[1:], "big") for h in heads if len(h) == HEADER_BYTES and h[0] == 0}
        return sorted(ids - self._writers.keys() - self._unreadable.keys())

    def add_writer(self, schema_id: int, text: str) -> None:
        """Add a writer schema. Records are errors when it cannot be resolved to the reader schema."""
        try:
            self._writers[schema_id] = self._writer(schema_id, text)
        except SchemaError as error:
            self._unreadable[schema_id] = str(error)

    def explain_unknown(self, reasons: Mapping[int, str]) -> None:
        """Set the reasons why ids have no writer schema, until the next call: their records are errors."""
        self._unknown = dict(reasons)

    def field_kind(self, name: str) -> Kind:
        """Return the kind of a column.

        Raises
        ------
        SchemaError
            When `name` is not one of the decoder's fields.
        """
        kinds = {needed.name: needed.kind for needed in self._needed}
        if name not in kinds:
            raise SchemaError(f"field '{name}' is not decoded; {name_hint(name, kinds)}")
        return kinds[name]

    def decode(self, payloads: Sequence[bytes | None]) -> Decoded:
        """Decode `n` payloads.

        A payload is an error when it is None, is malformed, has an unknown schema id, or has a needed string
        that a column cannot hold: over 1024 bytes, or with a NUL byte at the end. Others are not affected.
        Nothing is raised.
        """
        n = len(payloads)
        if n <= self._few:
            return self._decode_few(payloads)
        joined = join(payloads)
        errors: dict[int, str] = {}
        parts: list[_Part] = []
        for schema_id, rows in self._by_schema(payloads, joined, errors):
            parts.extend(self._decode_rows(self._writers[schema_id], payloads, joined, rows, errors))
        columns = {
            needed.name: merge(needed.kind, n, [(rows, part[needed.name]) for rows, part in parts])
            for needed in self._needed
        }
        return Decoded(columns, dict(sorted(errors.items())))

    def _decode_few(self, payloads: Sequence[bytes | None]) -> Decoded:
        errors: dict[int, str] = {}
        records = [self._decode_row(row, payload, errors) for row, payload in enumerate(payloads)]
        columns = {
            needed.name: from_objects(needed.kind, [record.get(needed.name) for record in records])
            for needed in self._needed
        }
        return Decoded(columns, errors)

    def _decode_row(self, row: int, payload: bytes | None, errors: dict[int, str]) -> Mapping[str, Any]:
        if payload is None or len(payload) < HEADER_BYTES or payload[0]:
            errors[row] = _frame_problem(payload)
            return {}
        schema_id = int.from_bytes(payload[1:HEADER_BYTES], "big")
        writer = self._writers.get(schema_id)
        if writer is None:
            errors[row] = self._why_not(schema_id)
            return {}
        try:
            return writer.decode_one(payload)
        except RecordError as error:
            errors[row] = str(error)
            return {}

    def _by_schema(
        self, payloads: Sequence[bytes | None], joined: Joined, errors: dict[int, str]
    ) -> list[tuple[int, Rows]]:
        """Return the rows of each known schema id; all others go into `errors`."""
        head = joined.words[joined.starts]
        ids = ((head >> np.uint64(8)) & np.uint64(0xFFFF_FFFF)).astype("<u4").byteswap()
        framed = ((head & np.uint64(0xFF)) == 0) & (joined.ends - joined.starts >= HEADER_BYTES)
        for row in np.flatnonzero(~framed).tolist():
            errors[row] = _frame_problem(payloads[row])
        groups = []
        for schema_id in _distinct(ids[framed]):
            rows = np.flatnonzero(framed & (ids == schema_id))
            if schema_id in self._writers:
                groups.append((schema_id, rows))
            else:
                errors.update(dict.fromkeys(rows.tolist(), self._why_not(schema_id)))
        return groups

    def _why_not(self, schema_id: int) -> str:
        known = ", ".join(map(str, sorted(self._writers))) or "none"
        unknown = self._unknown.get(schema_id, f"schema id {schema_id} is unknown; known: {known}")
        return self._unreadable.get(schema_id, unknown)

    def _decode_rows(
        self,
        writer: _Writer,
        payloads: Sequence[bytes | None],
        joined: Joined,
        rows: Rows,
        errors: dict[int, str],
    ) -> list[_Part]:
        if writer.program is None:
            return [_one_by_one(writer, payloads, rows, errors)]
        cursor = Cursor(joined, joined.starts[rows] + HEADER_BYTES, joined.ends[rows])
        columns = writer.program.run(cursor) | _repeat(writer.defaults, len(rows))
        if not cursor.doubtful.any():
            return [(rows, columns)]
        sound = np.flatnonzero(~cursor.doubtful)
        rest = _one_by_one(writer, payloads, rows[cursor.doubtful], errors)
        return [
            (rows[sound], {name: Column(c.values[sound], c.valid[sound]) for name, c in columns.items()}),
            rest,
        ]


def _distinct(ids: NDArray[np.uint32]) -> list[int]:
    uniform = ids.size > 0 and (ids == ids[0]).all()
    return [int(schema_id) for schema_id in (ids[:1] if uniform else np.unique(ids))]


def _writer(writer: RecordSchema, reader: RecordSchema, needed: Sequence[Needed]) -> _Writer:
    matches = match_fields(writer, reader, needed)
    matched = {field.name for field in matches.values()}
    defaults = {f.name: f.default for f in needed if f.name not in matched and f.default is not None}
    program = compile_program(writer, matches)
    rows = None if program is None else RowProgram(program)
    reference = ReferenceDecoder(writer, matches)
    return _Writer(program, rows, reference, tuple(matches.values()), defaults)


def _one_by_one(
    writer: _Writer, payloads: Sequence[bytes | None], rows: Rows, errors: dict[int, str]
) -> _Part:
    """Decode records with the reference decoder; those it refuses go into `errors`."""
    records, sound = [], []
    for row in rows.tolist():
        try:
            records.append(writer.reference.decode(payloads[row] or b"", HEADER_BYTES))
            sound.append(row)
        except RecordError as error:
            errors[row] = str(error)
    columns = {f.name: from_objects(f.kind, [r[f.name] for r in records]) for f in writer.matched}
    return np.array(sound, np.int64), columns | _repeat(writer.defaults, len(sound))


def _repeat(defaults: Mapping[str, Column], n: int) -> dict[str, Column]:
    return {name: Column(c.values.repeat(n), c.valid.repeat(n)) for name, c in defaults.items()}


def _frame_problem(payload: bytes | None) -> str:
    if payload is None:
        return "no value; Avro records cannot be null"
    if len(payload) < HEADER_BYTES:
        return f"{len(payload)} bytes, too short for the Confluent header of {HEADER_BYTES} bytes"
    return f"magic byte {payload[0]} is not 0: not in Confluent wire format"
