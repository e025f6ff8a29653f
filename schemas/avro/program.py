"""Compilation of a writer schema to a program over columns: fields to read, and fields to skip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.schemas.avro.bounds import MAX_STEPS, Weights
from headrace.schemas.avro.columns import Column
from headrace.schemas.avro.cursor import Cursor
from headrace.schemas.avro.resolution import Needed, match
from headrace.schemas.avro.schema import RecordSchema, Type, type_name
from headrace.schemas.avro.types import (
    Boolean,
    Decimal,
    Enum,
    Fixed,
    Floating,
    Integer,
    Null,
    Reader,
    Scalar,
    SkippedItems,
    SkippedRecord,
    SkippedUnion,
    Skipper,
    Text,
    Union,
    Unreadable,
)


class BeyondColumns(Exception):
    """The schema has a type that cannot be read by columns; the reference decoder reads all its records."""


@dataclass(frozen=True)
class Program:
    """The fields of a record, in the order written: readers with the name of a column, skippers without."""

    steps: tuple[tuple[str, Reader] | Skipper, ...]

    def run(self, cursor: Cursor) -> dict[str, Column]:
        """Read every record from the cursor to its end. Records in `cursor.doubtful` are to be read again."""
        columns = {}
        for step in self.steps:
            if isinstance(step, tuple):
                name, reader = step
                columns[name] = reader.read(cursor)
            else:
                step.skip(cursor)
        cursor.doubtful |= cursor.position != cursor.end  # bytes behind the record
        return columns


def compile_program(writer: RecordSchema, matches: Mapping[str, Needed]) -> Program | None:
    """Return the program for a writer schema; None for a recursive or very large one, or arrays in arrays."""
    weights = Weights(writer.named)
    if any(weights.steps(name) > MAX_STEPS for name in writer.named):
        return None
    compiler = _Compiler(writer)
    try:
        steps = (
            compiler.field(name, field["type"], matches.get(name)) for name, field in writer.fields.items()
        )
        return Program(tuple(steps))
    except BeyondColumns:
        return None


class _Compiler:
    def __init__(self, writer: RecordSchema) -> None:
        self._writer = writer
        self._open: list[str] = [writer.name]  # the records around the current type
        self._within_items = False
        self._records: dict[tuple[str, bool], SkippedRecord] = {}  # by name, and whether within items

    def field(self, name: str, kind: Type, needed: Needed | None) -> tuple[str, Reader] | Skipper:
        if needed is None:
            return self.skipper(kind)
        return needed.name, self.reader(kind, needed)

    def reader(self, kind: Type, needed: Needed) -> Reader:
        kind = self._writer.lookup(kind)
        if isinstance(kind, list):
            return Union(needed.kind, tuple(self.reader(branch, needed) for branch in kind))
        wants = match(kind, needed.branches)
        if wants is None:
            return Unreadable(needed.kind, self.skipper(kind))
        if kind == "null":
            return Null(needed.kind)
        if needed.scale is not None:
            return Decimal(kind["size"] if isinstance(kind, dict) else None, needed.scale)
        return _scalar(kind, wants)

    def skipper(self, kind: Type) -> Skipper:
        kind = self._writer.lookup(kind)
        word = type_name(kind)
        if word == "null":
            return SkippedRecord(())
        if word == "union":
            return SkippedUnion(tuple(map(self.skipper, kind)))
        if word in ("record", "error"):
            return self._record(kind)
        if word in ("array", "map"):
            return self._items(word, kind)
        return _scalar(kind, kind)

    def _items(self, word: str, kind: Type) -> SkippedItems:
        if self._within_items:  # steps would multiply
            raise BeyondColumns
        self._within_items = True
        value = self.skipper(kind["items" if word == "array" else "values"])
        self._within_items = False
        return SkippedItems(value if word == "array" else SkippedRecord((Text(utf8=False), value)))

    def _record(self, kind: Type) -> SkippedRecord:
        if kind["name"] in self._open:
            raise BeyondColumns
        compiled = (kind["name"], self._within_items)
        if compiled not in self._records:
            self._open.append(kind["name"])
            self._records[compiled] = SkippedRecord(
                tuple(self.skipper(field["type"]) for field in kind["fields"])
            )
            self._open.pop()
        return self._records[compiled]


def _scalar(kind: Type, wants: Type) -> Scalar:
    """Return the type that reads values written as `kind`, for the reader's `wants`.

    Numbers are promoted when the column is made.
    """
    word = type_name(kind)
    if word == "boolean":
        return Boolean()
    if word in ("int", "long"):
        return Integer(32 if word == "int" else 64)
    if word in ("float", "double"):
        return Floating(4 if word == "float" else 8)
    if word == "fixed":
        return Fixed(kind["size"])
    if word == "enum":
        known, default = frozenset(wants["symbols"]), wants.get("default") or None
        return Enum([symbol if symbol in known else default for symbol in kind["symbols"]])
    return Text(utf8="string" in (kind, wants))
