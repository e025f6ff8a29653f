"""Encode columns of values as the bytes of Feast's `ValueProto`, all rows at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.featurestore.redis_codec import layout
from headrace.featurestore.redis_codec.byte_columns import ByteColumn, join_rows
from headrace.schemas.feature_types import ValueType, element_type
from headrace.streams.columnar.lists import Lists

_FIXED: dict[layout.Wire, str] = {"double": "<f8", "float": "<f4", "bool": "?"}


def varints(values: NDArray[np.int64]) -> ByteColumn:
    """Encode int64 values as protobuf varints; negative ones take ten bytes."""
    unsigned = values.astype(np.int64).view(np.uint64)[:, None]
    shifts = np.arange(0, 70, 7, dtype=np.uint64)
    groups = unsigned >> shifts  # (n, 10); the last shift leaves the highest bit
    lengths = 1 + np.count_nonzero(groups[:, 1:], axis=1)
    more = np.arange(10) < (lengths - 1)[:, None]
    return ByteColumn((groups & np.uint64(0x7F)).astype(np.uint8) | (more * np.uint8(0x80)), lengths)


def encode_values(dtype: ValueType, values: Any, valid: NDArray[np.bool_]) -> list[ByteColumn]:
    """Encode one column as `ValueProto` bytes, in pieces; a null is the empty message, as Feast writes it.

    Parameters
    ----------
    dtype
        Feast's type of the feature.
    values
        Of length n: numbers or bools; `UnixTimestamp` in epoch milliseconds, which Feast keeps in whole
        seconds (rounded down); text as UTF-8, and bytes, in dtype S or as a list of bytes; lists and sets as
        `Lists` of these; composite values as a list of message bytes. Any value where null.
    valid
        Shape (n,), False for null.
    """
    if element_type(dtype):
        pieces = _lists(dtype, values)
    else:
        wire, tag = layout.wire_of(dtype), layout.value_tag(dtype)
        pieces = [_texts(tag, values) if wire == "text" else tagged(tag, _numbers(wire, values))]
    return pieces if valid.all() else [piece.where(valid) for piece in pieces]


def encode_timestamps(times_us: NDArray[np.int64]) -> ByteColumn:
    """Encode epoch microseconds as protobuf `Timestamp` bytes; zeros are left out, as proto3 does."""
    whole, micros = np.divmod(times_us, 1_000_000)
    first = tagged(b"\x08", varints(whole)).where(whole != 0)
    second = tagged(b"\x10", varints(micros * 1000)).where(micros != 0)
    return _concat(first, second)


def seconds(times_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Round epoch milliseconds down to whole seconds; a missing time stays missing."""
    return np.where(times_ms == layout.NULL_SECONDS, times_ms, times_ms // 1000)


def strings(values: Any) -> ByteColumn:
    """Take texts in dtype S or as a list of bytes."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "S":
        return ByteColumn.of_array(values)
    return ByteColumn.of_list(values)


def fixed(values: NDArray[Any]) -> ByteColumn:
    """The bytes of numbers, in their byte order."""
    cells = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), values.dtype.itemsize)
    return ByteColumn.fixed(cells)


def tagged(tag: bytes, body: ByteColumn) -> ByteColumn:
    """Put a tag before each string."""
    cells = np.empty((body.cells.shape[0], body.cells.shape[1] + len(tag)), np.uint8)
    cells[:, : len(tag)] = np.frombuffer(tag, np.uint8)
    cells[:, len(tag) :] = body.cells
    return ByteColumn(cells, body.lengths + len(tag))


def _numbers(wire: layout.Wire, values: Any) -> ByteColumn:
    if wire in _FIXED:
        return fixed(np.asarray(values, _FIXED[wire]))
    whole = np.asarray(values, np.int64)
    return varints(seconds(whole) if wire == "seconds" else whole)


def _texts(tag: bytes, values: Any) -> ByteColumn:
    text = strings(values)
    return _concat(tagged(tag, varints(text.lengths)), text)


def _lists(dtype: ValueType, lists: Lists) -> list[ByteColumn]:
    """Encode tags and lengths of lists, then their elements: numbers packed, texts one by one."""
    wire, tag = layout.wire_of(dtype), layout.value_tag(dtype)
    if wire == "text":
        elements = _gathered(_texts(layout.ELEMENT_TAG, lists.values), lists)
        return [tagged(tag, varints(elements.lengths)), elements]
    elements = _gathered(_numbers(wire, lists.values), lists)
    packed = tagged(layout.ELEMENT_TAG, varints(elements.lengths)).where(elements.lengths > 0)
    return [_concat(tagged(tag, varints(packed.lengths + elements.lengths)), packed), elements]


def _gathered(elements: ByteColumn, lists: Lists) -> ByteColumn:
    """Join the elements of each list into one string."""
    flat = np.frombuffer(join_rows([elements], len(lists.values)), np.uint8)
    if len(elements.lengths) == 1:
        return ByteColumn.of_flat(flat, lists.lengths * elements.lengths[0])
    ends = np.concatenate(([0], np.cumsum(elements.lengths)))[lists.ends]
    return ByteColumn.of_flat(flat, np.diff(ends))


def _concat(first: ByteColumn, second: ByteColumn) -> ByteColumn:
    lengths = first.lengths + second.lengths
    return ByteColumn.of_flat(np.frombuffer(join_rows([first, second], len(lengths)), np.uint8), lengths)
