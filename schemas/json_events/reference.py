"""Decoding of JSON record by record: the definition of the result, and the path for doubtful records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec

from headrace.schemas.errors import RecordError
from headrace.schemas.json_events.fields import JsonField, read_value
from headrace.schemas.json_nesting import MAX_DEPTH, nested_too_deep

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class RecordReader:
    """Reads records of declared fields, whatever their values are.

    Parameters
    ----------
    fields
        Declared fields; others are ignored.
    """

    def __init__(self, fields: Sequence[JsonField]) -> None:
        self._fields = [(f"f{number}", field) for number, field in enumerate(fields)]
        declared = [(slot, Any, msgspec.UNSET) for slot, _ in self._fields]
        names = {slot: field.name for slot, field in self._fields}
        self._parse = msgspec.json.Decoder(msgspec.defstruct("Event", declared, rename=names)).decode

    def read(self, payload: bytes | None) -> dict[str, Any]:
        """Return values by field: None for null, text as bytes.

        Raises
        ------
        RecordError
            When the record is not a JSON object, or not as declared; names field and value.
        """
        if payload is None:
            raise RecordError("no value; a record is a JSON object")
        if nested_too_deep(payload):
            raise RecordError(f"nested deeper than {MAX_DEPTH} levels")
        try:
            record = self._parse(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RecordError(f"no JSON object: {error}{_hint(payload)}") from error
        return {field.name: _read(field, getattr(record, slot)) for slot, field in self._fields}


def _read(field: JsonField, value: Any) -> Any:
    if value is msgspec.UNSET:
        if field.required:
            raise RecordError(f"field '{field.name}' is missing, and has no default")
        return field.default.encode() if isinstance(field.default, str) else field.default
    if field.unit is not None and isinstance(value, str):
        try:
            value = msgspec.convert(value, Instant)
        except msgspec.ValidationError as error:
            raise RecordError(
                f"field '{field.name}': {value[:40]!r} is no time with a zone: {error}"
            ) from error
    return read_value(field, value)


def _hint(payload: bytes) -> str:
    if payload.startswith(b"\xef\xbb\xbf"):
        return "; it begins with a byte order mark, which JSON does not allow"
    if payload.startswith(b"\0"):
        return "; it begins with a zero, as Avro in Confluent wire format does"
    return ""
