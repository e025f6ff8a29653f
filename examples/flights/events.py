"""Tables of events, read row by row in event-time order as they are produced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd


class EventTable:
    """A table of events, cut by event time.

    Parameters
    ----------
    table
        Rows in event-time order.
    timestamp_field
        The column of event times, epoch milliseconds.
    """

    def __init__(self, table: pd.DataFrame, timestamp_field: str) -> None:
        self._rows = Rows(table)
        self.times_ms = table[timestamp_field].to_numpy(np.int64)
        if (np.diff(self.times_ms) < 0).any():
            raise ValueError(f"the events are not in the order of {timestamp_field}")

    def between(self, start_ms: int, end_ms: int) -> Iterator[dict[str, Any]]:
        """Return events with ``start_ms <= event time < end_ms``."""
        first, last = np.searchsorted(self.times_ms, (start_ms, end_ms))
        return self._rows.between(int(first), int(last))


class Rows:
    """Reads rows of a table as plain Python values, a block at a time.

    Converting ten rows costs pandas as much as converting thousands.
    """

    _BLOCK = 4096

    def __init__(self, table: pd.DataFrame) -> None:
        self._table = table
        self._number, self._block = -1, list[dict[str, Any]]()

    def between(self, first: int, last: int) -> Iterator[dict[str, Any]]:
        """Yield rows ``first <= n < last``. Ascending calls convert every block once."""
        for position in range(first, last):
            number, within = divmod(position, self._BLOCK)
            if number != self._number:
                start = number * self._BLOCK
                self._number, self._block = number, rows(self._table.iloc[start : start + self._BLOCK])
            yield self._block[within]


def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as plain Python values, with None for missing ones."""
    columns = {name: _plain(table[name]) for name in table.columns}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _plain(column: pd.Series) -> list[Any]:
    values: list[Any] = column.tolist()
    if not column.isna().any():
        return values
    return [None if missing else value for value, missing in zip(values, column.isna(), strict=True)]
