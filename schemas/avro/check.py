"""Check of one record, byte by byte in plain Python: names the field and the value that are wrong.

Stricter than fastavro, which takes what the specification forbids: varints of more than ten bytes or 64
bits, an int beyond 32 bits, booleans other than 0 and 1, negative indices of enums and unions, and bytes
behind the record. It also bounds nesting, and items that occupy no bytes, which no sender needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.schemas.avro.columns import MAX_STRING
from headrace.schemas.avro.resolution import Needed, match
from headrace.schemas.avro.schema import RecordSchema, Type, type_name
from headrace.schemas.errors import RecordError

_MAX_DEPTH = 64
_FREE_ITEMS = 1 << 16  # items of arrays that occupy no bytes, such as nulls, in one record
_SHOWN = 40


class Checker:
    """Checks records of one writer schema.

    Parameters
    ----------
    writer
        Schema the records were written with.
    matches
        Its needed fields, whose values must be readable and whose strings must be UTF-8.
    """

    def __init__(self, writer: RecordSchema, matches: Mapping[str, Needed]) -> None:
        self._writer, self._matches = writer, matches

    def check(self, payload: bytes, start: int) -> None:
        """Check the record from `start` to the end of `payload`.

        Raises
        ------
        RecordError
            Names the field, the offending value and the rule.
        """
        walk = _Walk(self._writer, payload, start)
        for name, field in self._writer.fields.items():
            needed = self._matches.get(name)
            walk.decimal = needed is not None and needed.scale is not None
            walk.value(field["type"], name, needed.branches if needed else None, 0)
        rest = len(payload) - walk.position
        if rest:
            raise RecordError(
                f"{rest} bytes after the record, which {self._writer.label} ends at byte {walk.position}"
            )


class _Walk:
    def __init__(self, writer: RecordSchema, payload: bytes, position: int) -> None:
        self._writer, self._payload, self.position = writer, payload, position
        self._items = len(payload) + _FREE_ITEMS
        self.decimal = False  # whether the needed field is a decimal, whose bytes are no text

    def value(self, kind: Type, where: str, wants: Sequence[Type] | None, depth: int) -> None:
        """Pass over a value; `wants` are the reader's branches when it is needed."""
        if depth > _MAX_DEPTH:
            raise RecordError(f"field '{where[:_SHOWN]}...': nested deeper than {_MAX_DEPTH} levels")
        kind = self._writer.lookup(kind)
        word = type_name(kind)
        if word == "union":
            kind = kind[self._index(where, len(kind), "branch of the union")]
            return self.value(kind, where, wants, depth)
        wanted = match(kind, wants) if wants is not None else None
        if wants is not None and wanted is None:
            names = " or ".join(map(type_name, wants))
            raise RecordError(f"field '{where}': {word} where the reader schema has {names}")
        if word in ("array", "map", "record", "error"):
            return self._nested(word, kind, where, depth)
        self._scalar(word, kind, where, wanted)

    def _nested(self, word: str, kind: dict[str, Any], where: str, depth: int) -> None:
        if word in ("record", "error"):
            for field in kind["fields"]:
                self.value(field["type"], f"{where}.{field['name']}", None, depth + 1)
            return
        while count := self._count(where):
            for _ in range(count):
                if word == "map":
                    self._bytes(where, "map key")
                self.value(kind["items" if word == "array" else "values"], f"{where}[]", None, depth + 1)

    def _count(self, where: str) -> int:
        """Return the number of items of the next block of an array or map."""
        count = self._long(where)
        if count < 0:
            count, _ = -count, self._long(where)
        self._items -= count
        if self._items < 0:
            raise RecordError(f"field '{where}': a block of {count} items, more than the record has room for")
        return count

    def _scalar(self, word: str, kind: Type, where: str, wanted: Type | None) -> None:
        if word == "boolean":
            byte = self._take(where, 1, "boolean")[0]
            if byte > 1:
                raise RecordError(f"field '{where}': boolean byte {byte} is neither 0 nor 1")
        elif word == "int":
            value = self._long(where)
            if not -(1 << 31) <= value < 1 << 31:
                raise RecordError(f"field '{where}': int {value} is beyond 32 bits")
        elif word == "long":
            self._long(where)
        elif word in ("float", "double"):
            self._take(where, 4 if word == "float" else 8, word)
        elif word == "fixed":
            self._fits(where, self._take(where, kind["size"], "fixed"), wanted is not None)
        elif word == "enum":
            self._enum(kind, where, wanted)
        elif word in ("bytes", "string"):
            text = self._bytes(where, word)
            self._fits(where, text, wanted is not None)
            if wanted is not None and "string" in (word, wanted):
                self._utf8(where, text)

    def _enum(self, kind: Type, where: str, wanted: Type | None) -> None:
        symbol = kind["symbols"][self._index(where, len(kind["symbols"]), "symbol of the enum")]
        if wanted is not None and symbol not in wanted["symbols"] and not wanted.get("default"):
            raise RecordError(
                f"field '{where}': symbol '{symbol}' is not in the reader schema, which has no default symbol"
            )

    def _fits(self, where: str, text: bytes, needed: bool) -> None:
        if not needed:
            return
        if len(text) > MAX_STRING:
            raise RecordError(
                f"field '{where}': {len(text)} bytes ({text[:_SHOWN]!r}...), a column holds {MAX_STRING}"
            )
        if text.endswith(b"\0") and not self.decimal:
            raise RecordError(
                f"field '{where}': {_shown(text)} ends in a NUL byte, which a column cannot hold"
            )

    def _utf8(self, where: str, text: bytes) -> None:
        try:
            text.decode()
        except UnicodeDecodeError as error:
            raise RecordError(
                f"field '{where}': {_shown(text)} is not UTF-8 ({error.reason} at byte {error.start})"
            ) from None

    def _index(self, where: str, count: int, what: str) -> int:
        index = self._long(where)
        if not 0 <= index < count:
            raise RecordError(f"field '{where}': {what} {index} of {count}")
        return index

    def _bytes(self, where: str, word: str) -> bytes:
        return self._take(where, self._long(where), word)

    def _take(self, where: str, size: int, word: str) -> bytes:
        left = len(self._payload) - self.position
        if not 0 <= size <= left:
            raise RecordError(f"field '{where}': {word} of {size} bytes, {left} are left")
        self.position += size
        return self._payload[self.position - size : self.position]

    def _long(self, where: str) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._take(where, 1, "varint")[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        else:
            raise RecordError(f"field '{where}': varint of more than 10 bytes")
        if value >> 64:
            raise RecordError(f"field '{where}': varint beyond 64 bits")
        return (value >> 1) ^ -(value & 1)


def _shown(text: bytes) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + b"...")
