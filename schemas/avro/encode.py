"""Encoding of records as Avro in Confluent wire format."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import Any

import fastavro
from fastavro.validation import ValidationError, validate

from headrace.schemas.avro.schema import parse, parse_record
from headrace.schemas.errors import RecordError, SchemaError


class ConfluentEncoder:
    """Encodes records of one schema.

    Values of logical types are taken as fastavro does: a timestamp may be a datetime.

    Parameters
    ----------
    schema
        Avro schema of a record, in JSON.
    schema_id
        Id in the header, 0 to 2^32 - 1.

    Raises
    ------
    SchemaError
        When the schema is not that of a record, or the id does not fit the header.

    Examples
    --------
    >>> schema = '{"type": "record", "name": "click", "fields": [{"name": "user", "type": "string"}]}'
    >>> ConfluentEncoder(schema, 7).encode({"user": "ada"})
    b'\\x00\\x00\\x00\\x00\\x07\\x06ada'
    """

    def __init__(self, schema: str, schema_id: int) -> None:
        if not 0 <= schema_id < 1 << 32:
            raise SchemaError(f"schema id {schema_id} does not fit the header; use one from 0 to 2^32 - 1")
        record = parse_record(schema, f"schema {schema_id}")
        self._schema = parse(schema, record.label)
        self._header = struct.pack(">BI", 0, schema_id)
        self._ints = [
            name
            for name, field in record.fields.items()
            if "int" in (branches := record.branches(field["type"])) and "long" not in branches
        ]

    def encode(self, record: Mapping[str, Any]) -> bytes:
        """Encode a record: a zero, the schema id in four bytes (big-endian), then Avro.

        Raises
        ------
        RecordError
            When a field is missing or does not fit its type; names field and value.
        """
        out = io.BytesIO()
        out.write(self._header)
        for name in self._ints:  # fastavro writes these, no reader takes them
            value = record.get(name)
            if isinstance(value, int) and not -(1 << 31) <= value < 1 << 31:
                raise RecordError(
                    f"field '{name}': {value} is beyond the 32 bits of an int; declare it a long"
                )
        try:
            fastavro.schemaless_writer(out, self._schema, record)
        except Exception as error:  # fastavro meets a wrong value with any of half a dozen exceptions
            raise RecordError(
                f"the record does not fit its schema: {self._problem(record, error)}"
            ) from error
        return out.getvalue()

    def _problem(self, record: Mapping[str, Any], error: Exception) -> str:
        try:
            validate(record, self._schema)
        except ValidationError as faults:
            return "; ".join(map(str, faults.errors))
        return repr(error)


def encode_confluent(schema: str, schema_id: int, record: Mapping[str, Any]) -> bytes:
    """Encode one record. `ConfluentEncoder` is faster for more than one.

    Raises
    ------
    SchemaError, RecordError
        See `ConfluentEncoder`.
    """
    return ConfluentEncoder(schema, schema_id).encode(record)
