"""Whole columns to the bytes of Feast's Redis layout, as one stream of HSET commands."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore import redis_layout as layout
from featurestore.ragged import Padded, Ragged, join
from featurestore.redis_rows import Column, RowEncoder, bulk, timestamp
from schemas.plan import BatchViewSpec, FieldSpec, StreamViewSpec, ValueType

_FEW_ROWS = 48  # up to so many are encoded one by one
_STACKED: dict[ValueType, type[Any]] = {"Float64": np.float64, "Float32": np.float32, "Bool": np.bool_}
_CRLF = Ragged.constant(b"\r\n")


def varints(values: NDArray[np.int64]) -> Ragged:
    """Protobuf varints of int64 values; negative ones take ten bytes."""
    unsigned = values.astype(np.int64).view(np.uint64)[:, None]
    shifts = np.arange(0, 70, 7, dtype=np.uint64)
    groups = unsigned >> shifts  # (n, 10); the last shift leaves the highest bit
    lengths = 1 + np.count_nonzero(groups[:, 1:], axis=1)
    more = np.arange(10) < (lengths - 1)[:, None]
    return Ragged((groups & np.uint64(0x7F)).astype(np.uint8) | (more * np.uint8(0x80)), lengths)


def encode_values(dtype: ValueType, values: Any, valid: NDArray[np.bool_]) -> Ragged:
    """`ValueProto` bytes of one column; nulls are the empty message, as Feast writes them.

    Parameters
    ----------
    dtype
        Feast's type of the feature.
    values
        Shape (n,): numbers or bools; `UnixTimestamp` in epoch milliseconds, which Feast keeps in whole
        seconds (rounded down); `String` as UTF-8 in dtype S or as a list of bytes. Anything where null.
    valid
        Shape (n,), False for null.
    """
    tag = layout.value_tag(dtype)
    if dtype == "String":
        text = _strings(values)
        encoded = _concat(_tagged(tag, varints(text.lengths)), text)
    elif dtype == "Float64":
        encoded = _tagged(tag, _fixed(np.asarray(values, "<f8")))
    elif dtype == "Float32":
        encoded = _tagged(tag, _fixed(np.asarray(values, "<f4")))
    elif dtype == "Bool":
        encoded = _tagged(tag, _fixed(np.asarray(values, np.bool_)))
    elif dtype == "UnixTimestamp":
        encoded = _tagged(tag, varints(np.asarray(values, np.int64) // 1000))
    else:
        encoded = _tagged(tag, varints(np.asarray(values, np.int64)))
    return encoded if valid.all() else encoded.where(valid)


def encode_timestamps(times_us: NDArray[np.int64]) -> Ragged:
    """Protobuf `Timestamp` bytes of epoch microseconds; zeros are left out, as proto3 does."""
    seconds, micros = np.divmod(times_us, 1_000_000)
    first = _tagged(0x08, varints(seconds)).where(seconds != 0)
    second = _tagged(0x10, varints(micros * 1000)).where(micros != 0)
    return _concat(first, second)


def encode_keys(project: str, join_keys: Sequence[FieldSpec], columns: Sequence[Any]) -> list[Ragged]:
    """Pieces of the Redis keys of `n` entities, in order.

    Parameters
    ----------
    join_keys
        Sorted by name.
    columns
        One per join key, shape (n,): integers, or UTF-8 in dtype S or as a list of bytes.
    """
    pieces = [Ragged.constant(layout.key_prefix([key.name for key in join_keys]))]
    for key, column in zip(join_keys, columns, strict=True):
        kind = layout.FIELD_NUMBERS[key.dtype]
        if key.dtype == "String":
            text = _strings(column)
            pieces += [Ragged.constant(struct.pack("<I", kind)), _fixed(text.lengths.astype("<u4")), text]
        else:
            width = "<i4" if key.dtype == "Int32" else "<i8"
            value = _fixed(np.asarray(column, width))
            pieces += [Ragged.constant(struct.pack("<II", kind, value.cells.shape[1])), value]
    return [*pieces, Ragged.constant(project.encode())]


class ViewEncoder:
    """Encodes rows of one feature view as HSET commands.

    Parameters
    ----------
    project
        The Feast project, part of every key.
    view
        Names and types of join keys and features.
    verb
        The words of the command that come before the key.
    """

    def __init__(
        self, project: str, view: StreamViewSpec | BatchViewSpec, verb: Sequence[bytes] = (b"HSET",)
    ) -> None:
        self._project = project
        self._verb, self._words = b"".join(map(bulk, verb)), len(verb) + 1
        self._join_keys = view.join_keys
        together = _by_type(view.features)
        self._blocks = [_FieldBlock(view, positions) for positions in together]
        self._rows = RowEncoder(project, view, [position for positions in together for position in positions])
        self._time_field = layout.timestamp_field(view.name)
        self._provenance_field = layout.provenance_field(view.name)
        self._fields = len(view.features) + 1

    def commands(
        self,
        keys: Sequence[Any],
        features: Sequence[Column],
        times_us: NDArray[np.int64],
        provenance: tuple[int, int, int] | None,
    ) -> bytes:
        """One command per row, in the Redis protocol; the provenance is its last word.

        Parameters
        ----------
        keys, features
            Columns in the view's order, see `encode_keys` and `encode_values`.
        times_us
            Event times, epoch microseconds, shape (n,) or (1,).
        provenance
            Partition, offset and as-of time in milliseconds of all rows; None leaves the field out.
        """
        rows = len(keys[0])
        last = (
            b"" if provenance is None else _pair(self._provenance_field, layout.PROVENANCE.pack(*provenance))
        )
        words = self._words + 2 * (self._fields + (provenance is not None))
        head = b"*%d\r\n" % words + self._verb
        if rows <= _FEW_ROWS:
            tails = [_pair(self._time_field, timestamp(time_us)) + last for time_us in times_us.tolist()]
            return self._rows.commands(head, keys, features, tails * (rows if len(tails) == 1 else 1))
        first = [
            Ragged.constant(head),
            *_bulk_of(encode_keys(self._project, self._join_keys, keys)),
        ]
        return Padded.beside(
            [
                Padded.of(first, rows),
                *(block.encode(features, rows) for block in self._blocks),
                Padded.of([*self._times(times_us), Ragged.constant(last)], rows),
            ]
        ).tobytes()

    def redis_keys(self, columns: Sequence[Any]) -> list[bytes]:
        """The keys of rows, as `commands` takes their columns."""
        rows = len(columns[0])
        pieces = encode_keys(self._project, self._join_keys, columns)
        ends = np.cumsum(np.zeros(rows, np.int64) + sum(piece.lengths for piece in pieces)).tolist()
        packed = join(pieces, rows)
        return [packed[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def _times(self, times_us: NDArray[np.int64]) -> list[Ragged]:
        if len(times_us) == 1:
            return [Ragged.constant(_pair(self._time_field, timestamp(int(times_us[0]))))]
        return [Ragged.constant(bulk(self._time_field)), *_bulk_of([encode_timestamps(times_us)])]


class _FieldBlock:
    """Features of one type, encoded at once: a column of n x k values, then k of them in each row.

    The order of fields in a HSET does not matter to Redis.
    """

    def __init__(self, view: StreamViewSpec | BatchViewSpec, positions: Sequence[int]) -> None:
        features = [view.features[position] for position in positions]
        self._positions = positions
        self._dtype = features[0].dtype
        names = b"".join(bulk(layout.feature_field(view.name, feature.name)) for feature in features)
        self._names = np.frombuffer(names, np.uint8).reshape(len(features), -1)

    def encode(self, features: Sequence[Column], rows: int) -> Padded:
        columns = [features[position] for position in self._positions]
        if self._dtype == "String":
            ((values, valid),) = columns
        else:
            kind = _STACKED.get(self._dtype, np.int64)
            values = np.stack([np.asarray(column, kind) for column, _ in columns], axis=1).ravel()
            valid = np.stack([known for _, known in columns], axis=1).ravel()
        names = np.broadcast_to(self._names, (rows, *self._names.shape)).reshape(len(valid), -1)
        encoded = encode_values(self._dtype, values, valid)
        return Padded.of([Ragged.fixed(names), *_bulk_of([encoded])], len(valid)).wrapped(rows)


def _by_type(features: Sequence[FieldSpec]) -> list[list[int]]:
    """Positions of features that are encoded together; text goes by itself."""
    groups: dict[tuple[ValueType, int], list[int]] = {}
    for position, feature in enumerate(features):
        own = position if feature.dtype == "String" else -1
        groups.setdefault((feature.dtype, own), []).append(position)
    return list(groups.values())


def _pair(field: bytes, value: bytes) -> bytes:
    return bulk(field) + bulk(value)


def _strings(values: Any) -> Ragged:
    if isinstance(values, np.ndarray) and values.dtype.kind == "S":
        return Ragged.of_array(values)
    return Ragged.of_list(values)


def _fixed(values: NDArray[Any]) -> Ragged:
    cells = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), values.dtype.itemsize)
    return Ragged.fixed(cells)


def _tagged(tag: int, body: Ragged) -> Ragged:
    cells = np.empty((body.cells.shape[0], body.cells.shape[1] + 1), np.uint8)
    cells[:, 0] = tag
    cells[:, 1:] = body.cells
    return Ragged(cells, body.lengths + 1)


def _concat(first: Ragged, second: Ragged) -> Ragged:
    lengths = first.lengths + second.lengths
    flat = np.frombuffer(join([first, second], len(lengths)), np.uint8)
    cells = np.zeros((len(lengths), int(lengths.max(initial=0))), np.uint8)
    cells[np.arange(cells.shape[1]) < lengths[:, None]] = flat
    return Ragged(cells, lengths)


def _bulk_of(pieces: Sequence[Ragged]) -> list[Ragged]:
    """A Redis bulk string made of pieces: its length in digits, then the pieces."""
    lengths = sum((piece.lengths for piece in pieces), np.zeros(1, np.int64))
    table = _length_headers(1 << int(lengths.max(initial=0)).bit_length())
    return [Ragged(table.cells[lengths], table.lengths[lengths]), *pieces, _CRLF]


@cache
def _length_headers(size: int) -> Ragged:
    return Ragged.of_list([b"$%d\r\n" % length for length in range(size)])
