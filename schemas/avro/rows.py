"""Decoding record by record, for few records: below some dozens, calls of numpy cost more than they save.

A row program has the steps of a columnar one. A record that is not sound raises `Doubtful`, and the reference
decoder decides about it, as there.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from headrace.schemas.avro.columns import MAX_STRING
from headrace.schemas.avro.logical import decimal_value
from headrace.schemas.avro.program import Program
from headrace.schemas.avro.types import (
    MAX_ITEMS,
    Boolean,
    Decimal,
    Enum,
    Fixed,
    Floating,
    Integer,
    Null,
    Reader,
    SkippedItems,
    SkippedRecord,
    SkippedUnion,
    Skipper,
    Text,
    Union,
    Unreadable,
)

# Takes a payload and a position in it; returns the value there, None for null, and the position behind it.
Read = Callable[[bytes, int], tuple[Any, int]]
_Records = dict[int, Read]  # by the identity of its step: a named type is compiled once


class Doubtful(ValueError):
    """A record that is left to the reference decoder."""


class RowProgram:
    """Reads one record: None for null, strings as bytes."""

    def __init__(self, program: Program) -> None:
        records: _Records = {}
        self._steps = [
            (step[0], _reader(step[1], records))
            if isinstance(step, tuple)
            else (None, _skipper(step, records))
            for step in program.steps
        ]

    def run(self, payload: bytes, position: int) -> dict[str, Any]:
        """Read the record from `position` to the end: values by needed field.

        Raises
        ------
        Doubtful
            When the record is not sound.
        """
        record = {}
        try:
            for name, read in self._steps:
                value, position = read(payload, position)
                if name is not None:
                    record[name] = value
        except (IndexError, struct.error, UnicodeDecodeError) as error:
            raise Doubtful from error
        if position != len(payload):
            raise Doubtful
        return record


def _long(payload: bytes, position: int) -> tuple[int, int]:
    """Read a zigzag varint of at most ten bytes and 64 bits."""
    byte = payload[position]
    value, shift = byte & 0x7F, 7
    position += 1
    while byte > 0x7F:
        if shift > 63:
            raise Doubtful
        byte = payload[position]
        value |= (byte & 0x7F) << shift
        shift += 7
        position += 1
    if value >> 64:
        raise Doubtful
    return (value >> 1) ^ -(value & 1), position


def _int(payload: bytes, position: int) -> tuple[int, int]:
    value, position = _long(payload, position)
    if not -(1 << 31) <= value < 1 << 31:
        raise Doubtful
    return value, position


def _boolean(payload: bytes, position: int) -> tuple[bool, int]:
    if payload[position] > 1:
        raise Doubtful
    return payload[position] == 1, position + 1


def _end(payload: bytes, position: int, size: int) -> int:
    """Return the position behind `size` bytes."""
    if not 0 <= size <= len(payload) - position:
        raise Doubtful
    return position + size


def _fitting(text: bytes) -> bytes:
    """Return a text, if a column can hold it."""
    if len(text) > MAX_STRING or text[-1:] == b"\0":
        raise Doubtful
    return text


def _reader(step: Reader, records: _Records) -> Read:
    if isinstance(step, Text):
        return _text(step.utf8)
    if isinstance(step, Fixed):
        return lambda payload, position: (
            _fitting(payload[position : position + step.size]),
            _end(payload, position, step.size),
        )
    if isinstance(step, Decimal):
        return _decimal(step)
    if isinstance(step, Enum):
        return _enum(step)
    if isinstance(step, Null):
        return _nothing
    if isinstance(step, Union):
        return _union([_reader(branch, records) for branch in step.branches])
    if isinstance(step, Unreadable):
        return _refuse
    return _number(step)


def _skipper(step: Skipper, records: _Records) -> Read:
    if isinstance(step, Text):
        return _skip_text
    if isinstance(step, Fixed):
        return lambda payload, position: (None, _end(payload, position, step.size))
    if isinstance(step, Enum):
        return _union([_nothing] * len(step.known))
    if isinstance(step, SkippedUnion):
        return _union([_skipper(branch, records) for branch in step.branches])
    if isinstance(step, SkippedRecord):
        if id(step) not in records:
            records[id(step)] = _record([_skipper(field, records) for field in step.fields])
        return records[id(step)]
    if isinstance(step, SkippedItems):
        return _items(_skipper(step.item, records))
    return _number(step)


def _number(step: Reader | Skipper) -> Read:
    if isinstance(step, Integer):
        return _long if step.bits == 64 else _int
    if isinstance(step, Boolean):
        return _boolean
    assert isinstance(step, Floating)
    return _floating(struct.Struct("<d" if step.size == 8 else "<f"))


def _nothing(payload: bytes, position: int) -> tuple[Any, int]:
    return None, position


def _refuse(payload: bytes, position: int) -> tuple[Any, int]:
    raise Doubtful


def _floating(number: struct.Struct) -> Read:
    def read(payload: bytes, position: int) -> tuple[float, int]:
        return number.unpack_from(payload, position)[0], position + number.size

    return read


def _text(utf8: bool) -> Read:
    def read(payload: bytes, position: int) -> tuple[bytes, int]:
        size, position = _long(payload, position)
        end = _end(payload, position, size)
        text = _fitting(payload[position:end])
        if utf8 and not text.isascii():
            text.decode()
        return text, end

    return read


def _decimal(step: Decimal) -> Read:
    def read(payload: bytes, position: int) -> tuple[float, int]:
        size, position = _long(payload, position) if step.size is None else (step.size, position)
        end = _end(payload, position, size)
        if size > 8:
            raise Doubtful
        return decimal_value(payload[position:end], step.scale), end

    return read


def _skip_text(payload: bytes, position: int) -> tuple[None, int]:
    size, position = _long(payload, position)
    return None, _end(payload, position, size)


def _enum(enum: Enum) -> Read:
    symbols, known = enum.symbols.tolist(), enum.known.tolist()

    def read(payload: bytes, position: int) -> tuple[bytes, int]:
        index, position = _long(payload, position)
        if index < 0 or not known[index]:
            raise Doubtful
        return symbols[index], position

    return read


def _union(branches: list[Read]) -> Read:
    def read(payload: bytes, position: int) -> tuple[Any, int]:
        index, position = _long(payload, position)
        if index < 0:
            raise Doubtful
        return branches[index](payload, position)

    return read


def _record(fields: list[Read]) -> Read:
    def read(payload: bytes, position: int) -> tuple[None, int]:
        for field in fields:
            _, position = field(payload, position)
        return None, position

    return read


def _items(item: Read) -> Read:
    def read(payload: bytes, position: int) -> tuple[None, int]:
        while True:
            count, position = _long(payload, position)
            if count == 0:
                return None, position
            if not 0 < count <= MAX_ITEMS:
                raise Doubtful
            for _ in range(count):
                _, position = item(payload, position)

    return read
