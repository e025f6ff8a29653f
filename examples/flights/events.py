"""Event topics as they are produced: encoded, keyed, partitioned, in event-time order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from schemas.avro import ConfluentEncoder
from schemas.plan import SourceSpec
from streams.partitioning import partition_for


@dataclass(frozen=True)
class Event:
    """A record ready to be produced; its Kafka timestamp is its event time."""

    partition: int
    key: bytes
    value: bytes
    event_ms: int


class EventTopic:
    """A table of events, cut by event time.

    Parameters
    ----------
    source
        Names topic, schema and key field.
    table
        Rows in event-time order with the columns of the schema.
    partitions
        How many the topic has.
    """

    def __init__(self, source: SourceSpec, table: pd.DataFrame, partitions: int) -> None:
        self.topic, self.partitions = source.topic, partitions
        self._encoder = ConfluentEncoder(source.reader_schema, source.schema_id)
        self._time, self._key = source.timestamp_field, str(source.key_field)
        self._rows = Rows(table)
        self.times_ms = table[self._time].to_numpy(np.int64)
        if (np.diff(self.times_ms) < 0).any():
            raise ValueError(f"the events of topic '{self.topic}' are not in event-time order")

    def __len__(self) -> int:
        return len(self.times_ms)

    def between(self, start_ms: int, end_ms: int) -> Iterator[Event]:
        """Events with ``start_ms <= event time < end_ms``."""
        first, last = np.searchsorted(self.times_ms, (start_ms, end_ms))
        for row in self._rows.between(int(first), int(last)):
            key = str(row[self._key]).encode()
            partition = partition_for(key, self.partitions)
            yield Event(partition, key, self._encoder.encode(row), int(row[self._time]))


class Rows:
    """Rows of a table as plain Python values, converted a block at a time: pandas costs as much for ten rows
    as for thousands."""

    _BLOCK = 4096

    def __init__(self, table: pd.DataFrame) -> None:
        self._table = table
        self._number, self._block = -1, list[dict[str, Any]]()

    def between(self, first: int, last: int) -> Iterator[dict[str, Any]]:
        """Rows ``first <= n < last``; ascending calls convert every block once."""
        for position in range(first, last):
            number, within = divmod(position, self._BLOCK)
            if number != self._number:
                start = number * self._BLOCK
                self._number, self._block = number, rows(self._table.iloc[start : start + self._BLOCK])
            yield self._block[within]


def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain Python values, with None for what is missing."""
    columns = {name: _plain(table[name]) for name in table.columns}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _plain(column: pd.Series) -> list[Any]:
    values: list[Any] = column.tolist()
    if not column.isna().any():
        return values
    return [None if missing else value for value, missing in zip(values, column.isna(), strict=True)]
