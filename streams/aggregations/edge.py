"""The values of the earliest and the latest event; the offset at the source breaks ties of event time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.feature_specs import AggregationSpec
from headrace.schemas.feature_types import ValueType
from headrace.streams.aggregations.accumulator import (
    TEXT_BYTES,
    Accumulator,
    AccumulatorSpec,
    Indices,
    grow,
    held_type,
    stacked,
    tiles_of,
)
from headrace.streams.aggregations.aggregation import kept_types
from headrace.streams.aggregations.extreme import Chosen
from headrace.streams.columnar.batch import Batch


class Edge(Accumulator):
    """Event time, order and value of the event at one end of each tile."""

    never: ClassVar[int]  # event time of an empty tile, further out than any
    no_order: ClassVar[int]

    def __init__(self, specs: Sequence[AccumulatorSpec], dtype: type) -> None:
        super().__init__(specs, dtype)
        shape = (0, 0, len(specs))
        self.event_ms, self.order = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.value: NDArray[Any] = np.zeros(shape, held_type(dtype))

    def reserve(self, slots: int, depth: int) -> None:
        self.event_ms = grow(self.event_ms, slots, depth, self.never)
        self.order = grow(self.order, slots, depth, self.no_order)
        self.value = grow(self.value, slots, depth, self.value.dtype.type())

    def reset(self, places: Indices) -> None:
        tiles_of(self.event_ms)[places] = self.never
        tiles_of(self.order)[places] = self.no_order

    @abstractmethod
    def _rows(self, valid: NDArray[np.bool_], starts: Indices) -> Indices:
        """Return the row of each tile that is nearest to the end, shape (k, g); -1 where all are null."""

    @abstractmethod
    def _further(self, one: Indices, other: Indices) -> NDArray[np.bool_]:
        """Tell where one is nearer to the end than the other."""

    @abstractmethod
    def _furthest(self, event_ms: Indices) -> Indices:
        """Return the position of the tile nearest to the end, (n, windows, k) of (n, windows, depth, k)."""

    def add(self, places: Indices, starts: Indices, batch: Batch) -> None:
        values, valid = stacked(self.specs, batch)
        rows = self._rows(valid, starts).T
        event_ms, order = batch.event_ms[rows], batch.order[rows]  # (g, k)
        values = values[np.arange(len(self.specs)), rows]
        event_tiles, order_tiles, value_tiles = map(tiles_of, (self.event_ms, self.order, self.value))
        held_ms, held_order = event_tiles[places], order_tiles[places]
        tied = (event_ms == held_ms) & self._further(order, held_order)
        nearer = (rows >= 0) & (self._further(event_ms, held_ms) | tied)
        event_tiles[places] = np.where(nearer, event_ms, held_ms)
        order_tiles[places] = np.where(nearer, order, held_order)
        value_tiles[places] = np.where(nearer, values, value_tiles[places])

    def read(self, slots: Indices, inside: NDArray[np.bool_]) -> Sequence[NDArray[Any]]:
        event_ms = np.where(inside[..., None], self.event_ms[slots][:, None], self.never)
        furthest = self._furthest(event_ms)
        value = self.value[slots[:, None, None], furthest, np.arange(len(self.specs))]
        return [value[:, :, number] for number in range(len(self.specs))]

    def arrays(self, number: int) -> list[NDArray[Any]]:
        return [array[:, :, number] for array in (self.event_ms, self.order, self.value)]


class Latest(Edge):
    """The last event of each tile."""

    code = "Latest"
    never, no_order = np.iinfo(np.int64).min, -1

    def _rows(self, valid: NDArray[np.bool_], starts: Indices) -> Indices:
        rows: Indices = np.maximum.reduceat(np.where(valid, np.arange(valid.shape[1]), -1), starts, axis=1)
        return rows

    def _further(self, one: Indices, other: Indices) -> NDArray[np.bool_]:
        return one > other

    def _furthest(self, event_ms: Indices) -> Indices:
        furthest: Indices = event_ms.argmax(axis=2)
        return furthest


class Earliest(Edge):
    """The first event of each tile."""

    code = "Earliest"
    never, no_order = np.iinfo(np.int64).max, np.iinfo(np.int64).max

    def _rows(self, valid: NDArray[np.bool_], starts: Indices) -> Indices:
        n = valid.shape[1]
        rows: Indices = np.minimum.reduceat(np.where(valid, np.arange(n), n), starts, axis=1)
        return np.where(rows < n, rows, -1)

    def _further(self, one: Indices, other: Indices) -> NDArray[np.bool_]:
        return one < other

    def _furthest(self, event_ms: Indices) -> Indices:
        furthest: Indices = event_ms.argmin(axis=2)
        return furthest


class EdgeValue(Chosen):
    """The value of the event at one end, of any plain type."""

    most_text = TEXT_BYTES

    @staticmethod
    def types(kind: str) -> tuple[ValueType, ...]:
        return kept_types(kind)

    @classmethod
    def tile_bytes(cls, spec: AggregationSpec) -> int:
        return 24 + (TEXT_BYTES if spec.dtype == "String" else 8)


class First(EdgeValue):
    """The value of the earliest event."""

    kind = Earliest


class Last(EdgeValue):
    """The value of the latest event."""

    kind = Latest
