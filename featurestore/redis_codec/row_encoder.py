r"""Encode few rows as the bytes of Feast's Redis layout, one row at a time.

The bytes are those that `column_encoder.ViewEncoder` makes of whole columns: below some dozens of rows its
calls of numpy cost more than they save.

>>> bulk(b"UA")
b'$2\r\nUA\r\n'
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.featurestore.redis_codec import layout
from headrace.featurestore.redis_codec.protobuf import behind_length, encode_varint
from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec, StreamViewSpec
from headrace.schemas.feature_types import element_type
from headrace.streams.columnar.lists import Lists

Column = tuple[Any, NDArray[np.bool_]]  # values of shape (n,) or n `Lists`, False where null
_NULL = b"$0\r\n\r\n"
_FIXED: dict[layout.Wire, str] = {"double": "<f8", "float": "<f4", "bool": "?"}


def bulk(text: bytes) -> bytes:
    """Encode a bulk string of the Redis protocol."""
    return b"$%d\r\n%b\r\n" % (len(text), text)


class RowEncoder:
    """Encodes rows of one feature view as HSET commands.

    Parameters
    ----------
    project
        The Feast project, part of every key.
    view
        Names and types of join keys and features.
    order
        Positions of the features, in the order in which they are written.
    key_version
        Feast's ``entity_key_serialization_version``.
    """

    def __init__(
        self,
        project: str,
        view: StreamViewSpec | BatchViewSpec,
        order: Sequence[int],
        key_version: int = 3,
    ) -> None:
        self._keys = [_key_encoder(key) for key in view.join_keys]
        self._prefix = layout.key_prefix([key.name for key in view.join_keys], key_version)
        self._project = project.encode()
        features = [view.features[position] for position in order]
        self._values = list(zip(order, map(_value_encoder, features), strict=True))
        names = (bulk(layout.feature_field(view.name, f.name)).replace(b"%", b"%%") for f in features)
        self._row = b"%b" + b"".join(name + b"%b" for name in names) + b"%b"

    def commands(
        self, head: bytes, keys: Sequence[Any], features: Sequence[Column], tails: Iterable[bytes]
    ) -> bytes:
        """Encode one command per row.

        Parameters
        ----------
        head
            The bytes before the key, without a ``%``.
        keys, features
            Columns of `n` rows, as `ViewEncoder.commands` takes them.
        tails
            The bytes that end each of the `n` commands.
        """
        columns = [_with_nulls(encode(features[n][0]), features[n][1]) for n, encode in self._values]
        row = head + self._row
        return b"".join(
            [
                row % cells
                for cells in zip(self._bulk_keys(keys, len(columns[0])), *columns, tails, strict=True)
            ]
        )

    def _bulk_keys(self, columns: Sequence[Any], rows: int) -> list[bytes]:
        encoded = [encode(column) for encode, column in zip(self._keys, columns, strict=True)]
        if not encoded:
            return [bulk(self._prefix + self._project)] * rows
        return [bulk(b"".join((self._prefix, *key, self._project))) for key in zip(*encoded, strict=True)]


def _with_nulls(cells: list[bytes], valid: NDArray[np.bool_]) -> list[bytes]:
    present = valid.tolist()  # asking numpy costs more, for so few
    if False not in present:
        return cells
    return [cell if is_present else _NULL for cell, is_present in zip(cells, present, strict=True)]


def _key_encoder(key: FieldSpec) -> Callable[[Any], list[bytes]]:
    """Encode values of a join key: type, length and value."""
    number = layout.FIELD_NUMBERS[key.dtype]
    if layout.wire_of(key.dtype) == "text":
        return lambda column: [struct.pack("<II", number, len(text)) + text for text in _texts(column)]
    width = "<i4" if key.dtype == "Int32" else "<i8"
    start = struct.pack("<II", number, np.dtype(width).itemsize)
    if key.dtype == "UnixTimestamp":
        return lambda column: [start + cell for cell in _cells(np.asarray(column, width) // 1000)]
    return lambda column: [start + cell for cell in _cells(np.asarray(column, width))]


def _value_encoder(feature: FieldSpec) -> Callable[[Any], list[bytes]]:
    """Encode values of a column as bulk strings of `ValueProto` bytes."""
    tag, wire = layout.value_tag(feature.dtype), layout.wire_of(feature.dtype)
    if element_type(feature.dtype):
        return lambda lists: [bulk(tag + behind_length(body)) for body in list_bodies(wire, lists)]
    if wire == "text":
        return lambda values: [bulk(tag + encode_varint(len(text)) + text) for text in _texts(values)]
    if wire in _FIXED:
        kind = np.dtype(_FIXED[wire])
        start = b"$%d\r\n" % (len(tag) + kind.itemsize) + tag
        return lambda values: [b"%b%b\r\n" % (start, cell) for cell in _cells(np.asarray(values, kind))]
    if wire == "seconds":
        return lambda values: [bulk(tag + encode_varint(_seconds(time_ms))) for time_ms in _whole(values)]
    return lambda values: [bulk(tag + encode_varint(number)) for number in _whole(values)]


def list_bodies(wire: layout.Wire, lists: Lists) -> Iterator[bytes]:
    """Encode the message of each list: numbers packed, texts one by one."""
    ends = lists.ends.tolist()
    if wire == "text":
        texts = [layout.ELEMENT_TAG + behind_length(text) for text in _texts(lists.values)]
        yield from (b"".join(texts[start:end]) for start, end in pairwise(ends))
        return
    if wire in _FIXED:
        kind = np.dtype(_FIXED[wire])
        raw = np.asarray(lists.values, kind).tobytes()
        packed = (raw[start * kind.itemsize : end * kind.itemsize] for start, end in pairwise(ends))
    else:
        values = _whole(lists.values)
        numbers = [encode_varint(_seconds(value) if wire == "seconds" else value) for value in values]
        packed = (b"".join(numbers[start:end]) for start, end in pairwise(ends))
    yield from (body and layout.ELEMENT_TAG + behind_length(body) for body in packed)


def _seconds(time_ms: int) -> int:
    return time_ms if time_ms == layout.NULL_SECONDS else time_ms // 1000


def _whole(values: Any) -> list[int]:
    numbers: list[int] = np.asarray(values, np.int64).tolist()
    return numbers


def _texts(values: Any) -> Sequence[bytes]:
    texts: Sequence[bytes] = values.tolist() if isinstance(values, np.ndarray) else values
    return texts


def _cells(values: NDArray[Any]) -> list[bytes]:
    return [cell for (cell,) in struct.iter_unpack(f"{values.dtype.itemsize}s", values.tobytes())]
