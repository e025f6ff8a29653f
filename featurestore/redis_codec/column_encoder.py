"""Encode columns as the bytes of Feast's Redis layout, in one stream of HSET commands."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.featurestore.redis_codec import layout
from headrace.featurestore.redis_codec.byte_columns import ByteColumn, PaddedRows, split_rows
from headrace.featurestore.redis_codec.column_values import (
    encode_timestamps,
    encode_values,
    fixed,
    seconds,
    strings,
)
from headrace.featurestore.redis_codec.protobuf import encode_timestamp
from headrace.featurestore.redis_codec.row_encoder import Column, RowEncoder, bulk
from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec, StreamViewSpec
from headrace.schemas.feature_types import ValueType, element_type

_FEW_ROWS = 48  # up to this many are encoded one by one
_STACKED: dict[layout.Wire, type[Any]] = {"double": np.float64, "float": np.float32, "bool": np.bool_}
_CRLF = ByteColumn.constant(b"\r\n")
RowProvenance = tuple[int, int, int, bytes]  # partition, offset, as_of_ms, state


def encode_keys(
    project: str, join_keys: Sequence[FieldSpec], columns: Sequence[Any], version: int = 3
) -> list[ByteColumn]:
    """Encode the Redis keys of `n` entities, in pieces.

    Parameters
    ----------
    join_keys
        Sorted by name.
    columns
        One per join key, shape (n,): integers; times in epoch milliseconds; text as UTF-8, and bytes, in
        dtype S or as a list of bytes.
    version
        Feast's ``entity_key_serialization_version``.
    """
    pieces = [ByteColumn.constant(layout.key_prefix([key.name for key in join_keys], version))]
    for key, column in zip(join_keys, columns, strict=True):
        number = layout.FIELD_NUMBERS[key.dtype]
        if layout.wire_of(key.dtype) == "text":
            text = strings(column)
            lengths = fixed(text.lengths.astype("<u4"))
            pieces += [ByteColumn.constant(struct.pack("<I", number)), lengths, text]
        else:
            width = "<i4" if key.dtype == "Int32" else "<i8"
            whole = seconds(column) if key.dtype == "UnixTimestamp" else column
            value = fixed(np.asarray(whole, width))
            pieces += [ByteColumn.constant(struct.pack("<II", number, value.cells.shape[1])), value]
    return [*pieces, ByteColumn.constant(project.encode())]


class ViewEncoder:
    """Encodes rows of one feature view as HSET commands.

    Parameters
    ----------
    project
        The Feast project, part of every key.
    view
        Names and types of join keys and features.
    verb
        The words of the command before the key.
    key_version
        Feast's ``entity_key_serialization_version``.
    """

    def __init__(
        self,
        project: str,
        view: StreamViewSpec | BatchViewSpec,
        verb: Sequence[bytes] = (b"HSET",),
        key_version: int = 3,
    ) -> None:
        self._project, self._key_version = project, key_version
        self._verb, self._words = b"".join(map(bulk, verb)), len(verb) + 1
        self._join_keys = view.join_keys
        groups = _by_type(view.features)
        self._blocks = [_FieldBlock(view, positions) for positions in groups]
        order = [position for positions in groups for position in positions]
        self._rows = RowEncoder(project, view, order, key_version)
        self._time_field = layout.timestamp_field(view.name)
        self._provenance_field = layout.provenance_field(view.name)
        self._fields = len(view.features) + 1

    def commands(
        self,
        keys: Sequence[Any],
        features: Sequence[Column],
        times_us: NDArray[np.int64],
        provenance: RowProvenance | None,
    ) -> bytes:
        """Encode one command per row, in the Redis protocol; the provenance is its last word.

        Parameters
        ----------
        keys, features
            Columns in the order of the view; see `encode_keys` and `column_values.encode_values`.
        times_us
            Event times, epoch microseconds, shape (n,) or (1,).
        provenance
            Partition, offset, as-of time (epoch milliseconds) and state of all rows; None leaves the field
            out.
        """
        rows = len(features[0][1])
        last = (
            b"" if provenance is None else _pair(self._provenance_field, layout.PROVENANCE.pack(*provenance))
        )
        words = self._words + 2 * (self._fields + (provenance is not None))
        head = b"*%d\r\n" % words + self._verb
        if rows <= _FEW_ROWS:
            times = [_pair(self._time_field, encode_timestamp(time_us)) for time_us in times_us.tolist()]
            tails = [time + last for time in times]
            return self._rows.commands(head, keys, features, tails * (rows if len(tails) == 1 else 1))
        first = [
            ByteColumn.constant(head),
            *_bulk_of(encode_keys(self._project, self._join_keys, keys, self._key_version)),
        ]
        return PaddedRows.beside(
            [
                PaddedRows.of(first, rows),
                *(block.encode(features, rows) for block in self._blocks),
                PaddedRows.of([*self._times(times_us), ByteColumn.constant(last)], rows),
            ]
        ).tobytes()

    def redis_keys(self, columns: Sequence[Any], rows: int) -> list[bytes]:
        """Encode the Redis keys of `rows` rows, from columns as `commands` takes them."""
        return split_rows(encode_keys(self._project, self._join_keys, columns, self._key_version), rows)

    def _times(self, times_us: NDArray[np.int64]) -> list[ByteColumn]:
        if len(times_us) == 1:
            return [ByteColumn.constant(_pair(self._time_field, encode_timestamp(int(times_us[0]))))]
        return [ByteColumn.constant(bulk(self._time_field)), *_bulk_of([encode_timestamps(times_us)])]


class _FieldBlock:
    """Encodes `k` features of one type at once: one column of n x k values, then k of them in each row.

    The order of fields in a HSET does not matter to Redis.
    """

    def __init__(self, view: StreamViewSpec | BatchViewSpec, positions: Sequence[int]) -> None:
        features = [view.features[position] for position in positions]
        self._positions = positions
        self._dtype = features[0].dtype
        names = b"".join(bulk(layout.feature_field(view.name, feature.name)) for feature in features)
        self._names = np.frombuffer(names, np.uint8).reshape(len(features), -1)

    def encode(self, features: Sequence[Column], rows: int) -> PaddedRows:
        columns = [features[position] for position in self._positions]
        if _is_alone(self._dtype):
            ((values, valid),) = columns
        else:
            kind = _STACKED.get(layout.wire_of(self._dtype), np.int64)
            values = np.stack([np.asarray(column, kind) for column, _ in columns], axis=1).ravel()
            valid = np.stack([mask for _, mask in columns], axis=1).ravel()
        names = np.broadcast_to(self._names, (rows, *self._names.shape)).reshape(len(valid), -1)
        encoded = encode_values(self._dtype, values, valid)
        return PaddedRows.of([ByteColumn.fixed(names), *_bulk_of(encoded)], len(valid)).wrapped(rows)


def _by_type(features: Sequence[FieldSpec]) -> list[list[int]]:
    """Group the positions of features that are encoded together."""
    groups: dict[tuple[ValueType, int], list[int]] = {}
    for position, feature in enumerate(features):
        separate = position if _is_alone(feature.dtype) else -1
        groups.setdefault((feature.dtype, separate), []).append(position)
    return list(groups.values())


def _is_alone(dtype: ValueType) -> bool:
    """Whether a feature is encoded by itself, because the lengths of its values may differ much."""
    return element_type(dtype) is not None or layout.wire_of(dtype) == "text"


def _pair(field: bytes, value: bytes) -> bytes:
    return bulk(field) + bulk(value)


def _bulk_of(pieces: Sequence[ByteColumn]) -> list[ByteColumn]:
    """Join pieces to a bulk string of the Redis protocol: its length in digits, then the pieces."""
    lengths = sum((piece.lengths for piece in pieces), np.zeros(1, np.int64))
    table = _length_headers(1 << int(lengths.max(initial=0)).bit_length())
    return [ByteColumn(table.cells[lengths], table.lengths[lengths]), *pieces, _CRLF]


@cache
def _length_headers(size: int) -> ByteColumn:
    return ByteColumn.of_list([b"$%d\r\n" % length for length in range(size)])
