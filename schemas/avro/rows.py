"""Few records, one at a time: below some dozens of them, the calls of numpy cost more than they save.

A row program follows the steps of a columnar one. What is not sound at first sight raises `Doubtful`, and the
reference decoder has the last word on it, as there.
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

# Takes a payload and a position in it; gives the value there, None for null, and the position behind it.
Read = Callable[[bytes, int], tuple[Any, int]]


class Doubtful(ValueError):
    """A record that is left to the reference decoder."""


class RowProgram:
    """Reads one record; strings as bytes, None for null."""

    def __init__(self, program: Program) -> None:
        self._steps = [
            (step[0], _reader(step[1])) if isinstance(step, tuple) else (None, _skipper(step))
            for step in program.steps
        ]

    def run(self, payload: bytes, at: int) -> dict[str, Any]:
        """Values by needed field of the record from `at` to the end.

        Raises
        ------
        Doubtful
            When the record is not sound at first sight.
        """
        record = {}
        try:
            for name, read in self._steps:
                value, at = read(payload, at)
                if name is not None:
                    record[name] = value
        except (IndexError, struct.error, UnicodeDecodeError) as error:
            raise Doubtful from error
        if at != len(payload):
            raise Doubtful
        return record


def _long(payload: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint of at most ten bytes and 64 bits."""
    byte = payload[at]
    value, shift = byte & 0x7F, 7
    at += 1
    while byte > 0x7F:
        if shift > 63:
            raise Doubtful
        byte = payload[at]
        value |= (byte & 0x7F) << shift
        shift += 7
        at += 1
    if value >> 64:
        raise Doubtful
    return (value >> 1) ^ -(value & 1), at


def _int(payload: bytes, at: int) -> tuple[int, int]:
    value, at = _long(payload, at)
    if not -(1 << 31) <= value < 1 << 31:
        raise Doubtful
    return value, at


def _boolean(payload: bytes, at: int) -> tuple[bool, int]:
    if payload[at] > 1:
        raise Doubtful
    return payload[at] == 1, at + 1


def _end(payload: bytes, at: int, size: int) -> int:
    """The position behind `size` bytes."""
    if not 0 <= size <= len(payload) - at:
        raise Doubtful
    return at + size


def _fitting(text: bytes) -> bytes:
    """A text that a column can hold."""
    if len(text) > MAX_STRING or text[-1:] == b"\0":
        raise Doubtful
    return text


def _reader(step: Reader) -> Read:
    if isinstance(step, Text):
        return _text(step.utf8)
    if isinstance(step, Fixed):
        return lambda payload, at: (_fitting(payload[at : at + step.size]), _end(payload, at, step.size))
    if isinstance(step, Decimal):
        return _decimal(step)
    if isinstance(step, Enum):
        return _enum(step)
    if isinstance(step, Null):
        return _nothing
    if isinstance(step, Union):
        return _union([_reader(branch) for branch in step.branches])
    if isinstance(step, Unreadable):
        return _refuse
    return _number(step)


def _skipper(step: Skipper) -> Read:
    if isinstance(step, Text):
        return _skip_text
    if isinstance(step, Fixed):
        return lambda payload, at: (None, _end(payload, at, step.size))
    if isinstance(step, Enum):
        return _union([_nothing] * len(step.known))
    if isinstance(step, SkippedUnion):
        return _union([_skipper(branch) for branch in step.branches])
    if isinstance(step, SkippedRecord):
        return _record([_skipper(field) for field in step.fields])
    if isinstance(step, SkippedItems):
        return _items(_skipper(step.item))
    return _number(step)


def _number(step: Reader | Skipper) -> Read:
    if isinstance(step, Integer):
        return _long if step.bits == 64 else _int
    if isinstance(step, Boolean):
        return _boolean
    assert isinstance(step, Floating)
    return _floating(struct.Struct("<d" if step.size == 8 else "<f"))


def _nothing(payload: bytes, at: int) -> tuple[Any, int]:
    return None, at


def _refuse(payload: bytes, at: int) -> tuple[Any, int]:
    raise Doubtful


def _floating(number: struct.Struct) -> Read:
    def read(payload: bytes, at: int) -> tuple[float, int]:
        return number.unpack_from(payload, at)[0], at + number.size

    return read


def _text(utf8: bool) -> Read:
    def read(payload: bytes, at: int) -> tuple[bytes, int]:
        size, at = _long(payload, at)
        end = _end(payload, at, size)
        text = _fitting(payload[at:end])
        if utf8 and not text.isascii():
            text.decode()
        return text, end

    return read


def _decimal(step: Decimal) -> Read:
    def read(payload: bytes, at: int) -> tuple[float, int]:
        size, at = _long(payload, at) if step.size is None else (step.size, at)
        end = _end(payload, at, size)
        if size > 8:
            raise Doubtful
        return decimal_value(payload[at:end], step.scale), end

    return read


def _skip_text(payload: bytes, at: int) -> tuple[None, int]:
    size, at = _long(payload, at)
    return None, _end(payload, at, size)


def _enum(enum: Enum) -> Read:
    symbols, known = enum.symbols.tolist(), enum.known.tolist()

    def read(payload: bytes, at: int) -> tuple[bytes, int]:
        index, at = _long(payload, at)
        if index < 0 or not known[index]:
            raise Doubtful
        return symbols[index], at

    return read


def _union(branches: list[Read]) -> Read:
    def read(payload: bytes, at: int) -> tuple[Any, int]:
        index, at = _long(payload, at)
        if index < 0:
            raise Doubtful
        return branches[index](payload, at)

    return read


def _record(fields: list[Read]) -> Read:
    def read(payload: bytes, at: int) -> tuple[None, int]:
        for field in fields:
            _, at = field(payload, at)
        return None, at

    return read


def _items(item: Read) -> Read:
    def read(payload: bytes, at: int) -> tuple[None, int]:
        while True:
            count, at = _long(payload, at)
            if count == 0:
                return None, at
            if not 0 < count <= MAX_ITEMS:
                raise Doubtful
            for _ in range(count):
                _, at = item(payload, at)

    return read
