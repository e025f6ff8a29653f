"""Few rows to the bytes of Feast's Redis layout, one row at a time.

The bytes are those that `redis_encoder.ViewEncoder` makes of whole columns: below some dozens of rows its
calls of numpy cost more than they save.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.featurestore.redis_codec import layout
from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec, StreamViewSpec
from headrace.schemas.feature_types import element_type
from headrace.streams.columnar.lists import Lists

Column = tuple[Any, NDArray[np.bool_]]  # values of shape (n,) or n `Lists`, False where null
_ONE_BYTE = [bytes([value]) for value in range(0x80)]
_NULL = b"$0\r\n\r\n"
_FIXED: dict[layout.Wire, str] = {"double": "<f8", "float": "<f4", "bool": "?"}


def bulk(text: bytes) -> bytes:
    """A bulk string of the Redis protocol."""
    return b"$%d\r\n%b\r\n" % (len(text), text)


def varint(value: int) -> bytes:
    """Protobuf varint of an int64; a negative one takes ten bytes."""
    if 0 <= value < 0x80:
        return _ONE_BYTE[value]
    value &= 0xFFFF_FFFF_FFFF_FFFF
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def timestamp(time_us: int) -> bytes:
    """Protobuf `Timestamp` bytes of epoch microseconds; zeros are left out, as proto3 does."""
    seconds, micros = divmod(time_us, 1_000_000)
    first = b"\x08" + varint(seconds) if seconds else b""
    return first + (b"\x10" + varint(micros * 1000) if micros else b"")


class RowEncoder:
    """Encodes rows of one feature view as HSET commands.

    Parameters
    ----------
    project
        The Feast project, part of every key.
    view
        Names and types of join keys and features.
    order
        Positions of the features in the order in which they are written.
    """

    def __init__(self, project: str, view: StreamViewSpec | BatchViewSpec, order: Sequence[int]) -> None:
        self._keys = [_key_encoder(key) for key in view.join_keys]
        self._prefix = layout.key_prefix([key.name for key in view.join_keys])
        self._project = project.encode()
        features = [view.features[position] for position in order]
        self._values = list(zip(order, map(_value_encoder, features), strict=True))
        names = (bulk(layout.feature_field(view.name, f.name)).replace(b"%", b"%%") for f in features)
        self._row = b"%b" + b"".join(name + b"%b" for name in names) + b"%b"

    def commands(
        self, head: bytes, keys: Sequence[Any], features: Sequence[Column], tails: Iterable[bytes]
    ) -> bytes:
        """One command per row.

        Parameters
        ----------
        head
            What comes before the key, without a ``%``.
        keys, features
            Columns of `n` rows, as `ViewEncoder.commands` takes them.
        tails
            What ends each of the `n` commands.
        """
        columns = [_known(encode(features[at][0]), features[at][1]) for at, encode in self._values]
        row = head + self._row
        return b"".join([row % cells for cells in zip(self._bulk_keys(keys), *columns, tails, strict=True)])

    def _bulk_keys(self, columns: Sequence[Any]) -> list[bytes]:
        parts = [encode(column) for encode, column in zip(self._keys, columns, strict=True)]
        return [bulk(b"".join((self._prefix, *key, self._project))) for key in zip(*parts, strict=True)]


def _known(cells: list[bytes], valid: NDArray[np.bool_]) -> list[bytes]:
    known = valid.tolist()  # asking numpy costs more, for so few
    if False not in known:
        return cells
    return [cell if there else _NULL for cell, there in zip(cells, known, strict=True)]


def _key_encoder(key: FieldSpec) -> Callable[[Any], list[bytes]]:
    kind = layout.FIELD_NUMBERS[key.dtype]
    if layout.wire_of(key.dtype) == "text":
        return lambda column: [struct.pack("<II", kind, len(text)) + text for text in _texts(column)]
    width = "<i4" if key.dtype == "Int32" else "<i8"
    start = struct.pack("<II", kind, np.dtype(width).itemsize)
    if key.dtype == "UnixTimestamp":
        return lambda column: [start + cell for cell in _cells(np.asarray(column, width) // 1000)]
    return lambda column: [start + cell for cell in _cells(np.asarray(column, width))]


def _value_encoder(feature: FieldSpec) -> Callable[[Any], list[bytes]]:
    """Values of a column as bulk strings of `ValueProto` bytes."""
    tag, wire = layout.value_tag(feature.dtype), layout.wire_of(feature.dtype)
    if element_type(feature.dtype):
        return lambda lists: [bulk(tag + behind_length(body)) for body in list_bodies(wire, lists)]
    if wire == "text":
        return lambda values: [bulk(tag + varint(len(text)) + text) for text in _texts(values)]
    if wire in _FIXED:
        kind = np.dtype(_FIXED[wire])
        start = b"$%d\r\n" % (len(tag) + kind.itemsize) + tag
        return lambda values: [b"%b%b\r\n" % (start, cell) for cell in _cells(np.asarray(values, kind))]
    if wire == "seconds":
        return lambda values: [bulk(tag + varint(_seconds(n))) for n in np.asarray(values, np.int64).tolist()]
    return lambda values: [bulk(tag + varint(n)) for n in np.asarray(values, np.int64).tolist()]


def list_bodies(wire: layout.Wire, lists: Lists) -> Iterator[bytes]:
    """What is in the message of each list: numbers packed, texts one by one."""
    ends = lists.ends.tolist()
    if wire == "text":
        texts = [b"\x0a" + behind_length(text) for text in _texts(lists.values)]
        yield from (b"".join(texts[start:end]) for start, end in pairwise(ends))
        return
    if wire in _FIXED:
        kind = np.dtype(_FIXED[wire])
        raw = np.asarray(lists.values, kind).tobytes()
        packed = (raw[start * kind.itemsize : end * kind.itemsize] for start, end in pairwise(ends))
    else:
        whole = np.asarray(lists.values, np.int64).tolist()
        numbers = [varint(_seconds(number) if wire == "seconds" else number) for number in whole]
        packed = (b"".join(numbers[start:end]) for start, end in pairwise(ends))
    yield from (body and b"\x0a" + behind_length(body) for body in packed)


def behind_length(text: bytes) -> bytes:
    return varint(len(text)) + text


def _seconds(time_ms: int) -> int:
    return time_ms if time_ms == layout.NULL_SECONDS else time_ms // 1000


def _texts(values: Any) -> Sequence[bytes]:
    texts: Sequence[bytes] = values.tolist() if isinstance(values, np.ndarray) else values
    return texts


def _cells(values: NDArray[Any]) -> list[bytes]:
    return [cell for (cell,) in struct.iter_unpack(f"{values.dtype.itemsize}s", values.tobytes())]
