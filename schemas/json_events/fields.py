"""Fields of JSON events, as an Avro schema declares them, and the rules for each value."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from headrace.schemas.avro.columns import MAX_STRING, Kind
from headrace.schemas.avro.resolution import Needed, needed_fields
from headrace.schemas.avro.schema import parse_record, type_name
from headrace.schemas.errors import RecordError, SchemaError

Word = Literal["boolean", "int", "long", "float", "double", "string", "enum"]
Value = bool | int | float | str | None

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXACT = 1 << 53  # up to here a number written as 1.0 or 1e3 is the integer it says
BITS = {"int": 31, "long": 63}
_WORDS: dict[frozenset[str], Word] = {
    **{frozenset({word}): word for word in ("boolean", "int", "long", "float", "double", "string", "enum")},
    frozenset({"int", "long"}): "long",
    frozenset({"float", "double"}): "double",
}
_UNITS = {"timestamp-millis": timedelta(milliseconds=1), "timestamp-micros": timedelta(microseconds=1)}
_SHOWN = 40


@dataclass(frozen=True)
class JsonField:
    """A field that becomes a column.

    `unit` is the unit of a time, which may also be written as text. `default` replaces a missing field,
    unless the field is `required`; `symbol` replaces an unknown symbol of an enum.
    """

    name: str
    kind: Kind
    word: Word
    nullable: bool
    required: bool
    default: Value
    unit: timedelta | None = None
    symbols: tuple[str, ...] = ()
    symbol: str | None = None


def json_fields(schema: str, names: Sequence[str]) -> list[JsonField]:
    """Return the fields with some names, in that order.

    Raises
    ------
    SchemaError
        When a field is not in the schema, or has a type without one form in JSON.
    """
    reader = parse_record(schema, "the event schema")
    return [_field(needed) for needed in needed_fields(reader, names)]


def _field(needed: Needed) -> JsonField:
    branches = {type_name(branch): branch for branch in needed.branches}
    word = _WORDS.get(frozenset(branches.keys() - {"null"}))
    if word is None or needed.scale is not None:
        raise SchemaError(
            f"field '{needed.name}' is {' or '.join(branches)}, which JSON has no one form for; declare it "
            "boolean, int, long, float, double, string or enum, or a union of null with one"
        )
    nullable, enum = "null" in branches, branches.get("enum", {})
    return JsonField(
        needed.name,
        needed.kind,
        word,
        nullable,
        required=needed.default is None and not nullable,
        default=_default(needed),
        unit=_UNITS.get(needed.logical.name) if needed.logical and word == "long" else None,
        symbols=tuple(enum.get("symbols", ())),
        symbol=enum.get("default"),
    )


def _default(needed: Needed) -> Value:
    if needed.default is None or not needed.default.valid[0]:
        return None
    value: Value | bytes = needed.default.values[0].item()
    return value.decode() if isinstance(value, bytes) else value


def read_value(field: JsonField, value: Any) -> Any:
    """Return a parsed JSON value as the value of a column: None for null, text as bytes.

    Raises
    ------
    RecordError
        When the value is not as declared; names field, value and type.
    """
    if value is None and field.nullable:
        return None
    if field.word == "boolean" and isinstance(value, bool):
        return value
    if field.kind == "string" and isinstance(value, str):
        return _text(field, value)
    if field.unit is not None and isinstance(value, datetime):
        return (value - EPOCH) // field.unit
    if isinstance(value, int | float) and not isinstance(value, bool):
        if field.kind == "long":
            return _integer(field, value)
        if field.kind == "double":
            return _floating(field, value)
    raise RecordError(f"field '{field.name}': {_shown(value)} where the schema has {field.word}")


def _integer(field: JsonField, value: float) -> int:
    if isinstance(value, float) and not (value.is_integer() and abs(value) <= EXACT):
        raise RecordError(f"field '{field.name}': {_shown(value)} is no {field.word}")
    whole, bits = int(value), BITS[field.word]
    if not -(1 << bits) <= whole < 1 << bits:
        raise RecordError(
            f"field '{field.name}': {_shown(whole)} is beyond the {bits + 1} bits of {field.word}"
        )
    return whole


def _floating(field: JsonField, value: float) -> float:
    try:
        number = float(value)
        return number if field.word == "double" else float(struct.unpack("<f", struct.pack("<f", number))[0])
    except OverflowError:
        raise RecordError(f"field '{field.name}': {_shown(value)} is beyond a {field.word}") from None


def _text(field: JsonField, value: str) -> bytes:
    if field.word == "enum" and value not in field.symbols:
        if field.symbol is None:
            raise RecordError(f"field '{field.name}': symbol {_shown(value)} is not in the schema")
        value = field.symbol
    text = value.encode()
    if len(text) > MAX_STRING:
        raise RecordError(
            f"field '{field.name}': {len(text)} bytes ({_shown(value)}), a column holds {MAX_STRING}"
        )
    if text.endswith(b"\0"):
        raise RecordError(f"field '{field.name}': {_shown(value)} ends in a NUL, which a column cannot hold")
    return text


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 128:
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
