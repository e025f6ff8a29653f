"""Accepted records of a range or a block, as columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.avro import Column


@dataclass(frozen=True)
class Batch:
    """`n` accepted records.

    Attributes
    ----------
    event_ms
        Event times, int64, shape (n,), epoch milliseconds.
    order
        Offset at the source, int64, shape (n,): breaks ties of event time.
    offset
        Offset in the log that this partition or shard reads, int64, shape (n,). It is `order` at the source,
        and the block's offset behind a shuffle.
    columns
        Field name to values and validity, each of shape (n,).
    terms
        Arrays of shape (m, n) that were computed from columns, by name; see `term`.

    Examples
    --------
    >>> times, offsets = np.array([1_000, 1_500]), np.array([7, 9])
    >>> batch = Batch(times, offsets, offsets, {"price": Column(np.array([5, 0]), np.array([True, False]))})
    >>> len(batch), batch.take(np.array([1])).columns["price"].valid.tolist()
    (2, [False])
    """

    event_ms: NDArray[np.int64]
    order: NDArray[np.int64]
    offset: NDArray[np.int64]
    columns: Mapping[str, Column]
    terms: dict[str, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.event_ms)

    def take(self, rows: NDArray[Any]) -> Batch:
        """Return the rows at indices, or where a mask is True."""
        columns = {n: Column(c.values[rows], c.valid[rows]) for n, c in self.columns.items()}
        order = self.order[rows]
        offset = order if self.offset is self.order else self.offset[rows]
        return Batch(self.event_ms[rows], order, offset, columns)

    def select(self, names: set[str]) -> Batch:
        """Return the same rows with these columns only."""
        columns = {n: c for n, c in self.columns.items() if n in names}
        return Batch(self.event_ms, self.order, self.offset, columns)

    def term(self, name: str, column: str, make: Callable[[Column], NDArray[np.int64]]) -> NDArray[np.int64]:
        """Return the result of `make` for a column, shape (m, n).

        Computed once per `name`: views with other hops use the same array.
        """
        term = self.terms.get(name)
        if term is None:
            term = self.terms[name] = make(self.columns[column])
        return term

    @classmethod
    def concatenate(cls, batches: Sequence[Batch]) -> Batch:
        """Join batches with the same columns, in order."""
        if len(batches) == 1:
            return batches[0]
        names = batches[0].columns
        columns = {
            name: Column(
                np.concatenate([batch.columns[name].values for batch in batches]),
                np.concatenate([batch.columns[name].valid for batch in batches]),
            )
            for name in names
        }
        return cls(
            np.concatenate([batch.event_ms for batch in batches]),
            np.concatenate([batch.order for batch in batches]),
            np.concatenate([batch.offset for batch in batches]),
            columns,
        )
