"""Decoding record by record, by fastavro: the definition of the result, and the path for every schema."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import fastavro

from headrace.schemas.avro.check import Checker
from headrace.schemas.avro.logical import decimal_value
from headrace.schemas.avro.resolution import Needed
from headrace.schemas.avro.schema import RecordSchema, Type
from headrace.schemas.errors import RecordError


class ReferenceDecoder:
    """Decodes records of one writer schema.

    Parameters
    ----------
    writer
        Schema the records were written with.
    matches
        Needed field by the writer field it is read from; other fields are skipped.
    """

    def __init__(self, writer: RecordSchema, matches: Mapping[str, Needed]) -> None:
        self._checker = Checker(writer, matches)
        self._matches = matches
        self._writer = fastavro.parse_schema(writer.definition)
        self._reader = fastavro.parse_schema(_projection(writer, matches))

    def decode(self, payload: bytes, start: int) -> dict[str, Any]:
        """Decode the record from `start` on: values by needed field, None for null, strings as bytes.

        Raises
        ------
        RecordError
            When the record is malformed or cannot be read as the reader schema; names field and value.
        """
        self._checker.check(payload, start)
        stream = io.BytesIO(payload)
        stream.seek(start)
        try:
            record: Any = fastavro.schemaless_reader(stream, self._writer, self._reader)
        except Exception as error:  # whatever fastavro finds in bytes that passed the checks
            raise RecordError(f"fastavro cannot read the record: {error!r}") from error
        return {needed.name: _value(record[name], needed) for name, needed in self._matches.items()}


def _value(value: Any, needed: Needed) -> Any:
    if value is None or needed.scale is None:
        return value.encode() if isinstance(value, str) else value
    try:
        return decimal_value(value, needed.scale)
    except OverflowError as error:
        raise RecordError(f"field '{needed.name}': a decimal of {len(value)} bytes is no double") from error


def _projection(writer: RecordSchema, matches: Mapping[str, Needed]) -> dict[str, Any]:
    """Return a reader schema of the needed fields alone, under the writer's names."""
    defined: set[str] = set()
    fields = []
    for name, needed in matches.items():
        branches = [_define_once(branch, defined) for branch in needed.branches]
        fields.append({"name": name, "type": branches if len(branches) > 1 else branches[0]})
    return {"type": "record", "name": writer.name, "fields": fields}


def _define_once(branch: Type, defined: set[str]) -> Type:
    """Return a schema with each definition where its name first occurs, and the name after that."""
    if not isinstance(branch, dict):
        return branch
    if branch["name"] in defined:
        return branch["name"]
    defined.add(branch["name"])
    return branch
