"""One JSON record at a time: the definition of what a record says, and the last word on doubtful ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec

from schemas.errors import RecordError
from schemas.json_events.fields import JsonField, read_value

MAX_DEPTH = 256
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)
Instant = Annotated[datetime, msgspec.Meta(tz=True)]


def decode_record(fields: Sequence[JsonField], payload: bytes | None) -> dict[str, Any]:
    """Values by field, None for null, text as bytes.

    Raises
    ------
    RecordError
        When the record is no JSON object, or not as declared; names field and value.
    """
    if payload is None:
        raise RecordError("no value; a record is a JSON object")
    if nested_too_deep(payload):
        raise RecordError(f"nested deeper than {MAX_DEPTH} levels")
    try:
        record = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"not JSON: {error}{_hint(payload)}") from error
    if not isinstance(record, dict):
        raise RecordError(f"JSON {type(record).__name__}, where a record is an object")
    return {field.name: _read(field, record) for field in fields}


def _read(field: JsonField, record: dict[str, Any]) -> Any:
    if field.name not in record:
        if field.required:
            raise RecordError(f"field '{field.name}' is missing, and has no default")
        return field.default.encode() if isinstance(field.default, str) else field.default
    value = record[field.name]
    if field.unit is not None and isinstance(value, str):
        try:
            value = msgspec.convert(value, Instant)
        except msgspec.ValidationError as error:
            raise RecordError(
                f"field '{field.name}': {value[:40]!r} is no time with a zone: {error}"
            ) from error
    return read_value(field, value)


def nested_too_deep(payload: bytes) -> bool:
    """Whether arrays and objects are nested deeper than `MAX_DEPTH`.

    A parser's own limit depends on the stack it runs on; what becomes of a record must not.
    """
    if len(payload) <= MAX_DEPTH or payload.count(b"[") + payload.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for token in _TOKEN.finditer(payload):
        first = token[0][:1]
        depth += (first in b"[{") - (first in b"]}")
        if depth > MAX_DEPTH:
            return True
    return False


def _hint(payload: bytes) -> str:
    if payload.startswith(b"\xef\xbb\xbf"):
        return "; it begins with a byte order mark, which JSON does not allow"
    if payload.startswith(b"\0"):
        return "; it begins with a zero, as Avro in Confluent wire format does"
    return ""
