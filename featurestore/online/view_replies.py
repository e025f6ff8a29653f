"""Replies to HMGET commands, read as columns, statuses and provenance of feature views."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.featurestore.field_status import FieldStatus
from headrace.featurestore.redis_codec import layout
from headrace.featurestore.redis_codec.decoder import (
    Provenance,
    decode_event_time,
    decode_provenance,
    decode_values,
)

Reply = Sequence[bytes | None]  # one value per hash field


def hash_fields(view: str, features: Iterable[str]) -> list[bytes]:
    """The hash fields that hold features, time and provenance of a view's row, as `ViewFields` reads them."""
    fields = [layout.feature_field(view, feature) for feature in features]
    return [*fields, layout.timestamp_field(view), layout.provenance_field(view)]


@dataclass(frozen=True)
class ViewFields:
    """The fields of one view within a reply: its features from `start` on, its time, its provenance.

    Attributes
    ----------
    name
        Its name in the response.
    ttl_ms
        How long a row is valid, in milliseconds; 0 for ever.
    start
        Position of the first field in the reply.
    columns
        Full names of the features.
    """

    name: str
    ttl_ms: int
    start: int
    columns: tuple[str, ...]

    def read(self, replies: Sequence[Reply], now_ms: int) -> StoredColumns:
        """Read the features of each reply.

        Raises
        ------
        HeadraceError
            When a value is of a type that Headrace does not read.
        """
        end = self.start + len(self.columns)
        cells = [cell for reply in replies for cell in reply[self.start : end]]
        return StoredColumns(cells, len(self.columns), self._expired_rows(replies, now_ms))

    def read_features(
        self,
        replies: Sequence[Reply],
        now_ms: int,
        columns: dict[str, list[Any]],
        statuses: dict[str, list[FieldStatus]],
    ) -> None:
        """Add the features of each reply to columns and statuses, by full name; raises as `read` does."""
        stored = self.read(replies, now_ms)
        for position, name in enumerate(self.columns):
            columns[name], statuses[name] = stored.column(position)

    def read_provenance(self, replies: Sequence[Reply]) -> list[Provenance | None]:
        """The provenance of each row; None where there is no row, and for batch views."""
        position = self.start + len(self.columns) + 1
        return [decode_provenance(reply[position]) for reply in replies]

    def read_times(self, replies: Sequence[Reply]) -> list[int | None]:
        """The event time of each row, epoch milliseconds; None where there is no row."""
        position = self.start + len(self.columns)
        times = (reply[position] for reply in replies)
        return [None if time is None else decode_event_time(time) for time in times]

    def _expired_rows(self, replies: Sequence[Reply], now_ms: int) -> set[int]:
        if not self.ttl_ms:
            return set()
        position, oldest_ms = self.start + len(self.columns), now_ms - self.ttl_ms
        times = ((row, reply[position]) for row, reply in enumerate(replies))
        return {row for row, time in times if time is not None and decode_event_time(time) < oldest_ms}


class StoredColumns:
    """Features of one view, of some rows.

    Parameters
    ----------
    cells
        As they are stored, row by row.
    width
        How many there are in a row.
    expired
        Rows that are older than the ttl of the view.

    Attributes
    ----------
    values
        The values of the cells.
    width
        As above.
    is_whole
        Whether all values are there, so that they have status PRESENT.
    """

    __slots__ = ("_cells", "_expired", "is_whole", "values", "width")

    def __init__(self, cells: Sequence[bytes | None], width: int, expired: set[int]) -> None:
        self._cells, self._expired = cells, expired
        self.values, self.width = decode_values(cells), width
        self.is_whole = not expired and None not in self.values

    def column(self, position: int) -> tuple[list[Any], list[FieldStatus]]:
        """Return the values of the feature at a position, None where one is not valid, and their statuses."""
        column = self.values[position :: self.width]
        if self.is_whole or not (self._expired or None in column):
            return column, [FieldStatus.PRESENT] * len(column)
        statuses = _statuses(self._cells[position :: self.width], column, self._expired)
        for row in self._expired:
            column[row] = None
        return column, statuses


def _statuses(cells: Sequence[bytes | None], values: Sequence[Any], expired: set[int]) -> list[FieldStatus]:
    statuses = []
    for row, (cell, value) in enumerate(zip(cells, values, strict=True)):
        if cell is None:
            statuses.append(FieldStatus.NOT_FOUND)
        elif row in expired:
            statuses.append(FieldStatus.OUTSIDE_MAX_AGE)
        else:
            statuses.append(FieldStatus.NULL_VALUE if value is None else FieldStatus.PRESENT)
    return statuses
