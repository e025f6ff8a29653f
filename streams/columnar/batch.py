"""A batch: accepted records of one range or block, as columns."""

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
        What breaks ties of event time, int64, shape (n,): the offset at the source.
    offset
        Offset in the log that this partition or shard reads, int64, shape (n,). It is `order` at the source,
        and the block's offset behind a shuffle.
    columns
        Field name to values and validity, each of shape (n,).
    terms
        What has been made of the columns so far, by a name of whoever made it, shape (m, n).
    """

    event_ms: NDArray[np.int64]
    order: NDArray[np.int64]
    offset: NDArray[np.int64]
    columns: Mapping[str, Column]
    terms: dict[str, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.event_ms)

    def take(self, rows: NDArray[Any]) -> Batch:
        """The rows at an index or mask."""
        columns = {n: Column(c.values[rows], c.valid[rows]) for n, c in self.columns.items()}
        order = self.order[rows]
        offset = order if self.offset is self.order else self.offset[rows]
        return Batch(self.event_ms[rows], order, offset, columns)

    def select(self, names: set[str]) -> Batch:
        """The same rows with these columns only."""
        columns = {n: c for n, c in self.columns.items() if n in names}
        return Batch(self.event_ms, self.order, self.offset, columns)

    def term(self, name: str, column: str, make: Callable[[Column], NDArray[np.int64]]) -> NDArray[np.int64]:
        """What is made of a column, once: rings of other hops take it up again."""
        term = self.terms.get(name)
        if term is None:
            term = self.terms[name] = make(self.columns[column])
        return term

    @classmethod
    def concatenate(cls, batches: Sequence[Batch]) -> Batch:
        """Batches with the same columns, one behind the other."""
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
