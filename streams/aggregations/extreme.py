"""The least and the greatest of the values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.feature_specs import AggregationSpec
from headrace.streams.aggregations.accumulator import (
    Accumulator,
    AccumulatorSpec,
    Indices,
    grow,
    stacked,
    tiles_of,
)
from headrace.streams.aggregations.aggregation import Aggregation, Reading, Values
from headrace.streams.columnar.batch import Batch


class Extreme(Accumulator):
    """Extremes of each tile, in the dtype of the columns; an empty tile has the `identity`."""

    ufunc: ClassVar[np.ufunc]
    end: ClassVar[int]  # which of the bounds of the dtype is the identity

    def __init__(self, specs: Sequence[AccumulatorSpec], dtype: type) -> None:
        super().__init__(specs, dtype)
        self.identity = _bounds(dtype)[self.end]
        self.extreme: NDArray[Any] = np.zeros((0, 0, len(specs)), dtype)

    def reserve(self, slots: int, depth: int) -> None:
        self.extreme = grow(self.extreme, slots, depth, self.identity)

    def reset(self, places: Indices) -> None:
        tiles_of(self.extreme)[places] = self.identity

    def add(self, places: Indices, starts: Indices, batch: Batch) -> None:
        values, valid = stacked(self.specs, batch)
        if values.dtype == np.float64:
            values += 0.0  # -0.0 is 0.0: which of the two is less depends on their order
        extremes = self.ufunc.reduceat(np.where(valid, values, self.identity), starts, axis=1).T
        tiles = tiles_of(self.extreme)
        tiles[places] = self.ufunc(tiles[places], extremes)

    def read(self, slots: Indices, inside: NDArray[np.bool_]) -> Sequence[NDArray[Any]]:
        values = np.where(inside[..., None], self.extreme[slots][:, None], self.identity)
        extreme = self.ufunc.reduce(values, axis=2)
        return [extreme[:, :, number] for number in range(len(self.specs))]

    def arrays(self, number: int) -> list[NDArray[Any]]:
        return [self.extreme[:, :, number]]


class Least(Extreme):
    """The least value of each tile."""

    code = "Least"
    ufunc, end = np.minimum, 1


class Greatest(Extreme):
    """The greatest value of each tile."""

    code = "Greatest"
    ufunc, end = np.maximum, 0


def _bounds(dtype: type) -> tuple[Any, Any]:
    """Return the least and the greatest number of a dtype."""
    if dtype is np.float64:
        return -np.inf, np.inf
    if dtype is np.bool_:
        return False, True
    info = np.iinfo(dtype)
    return info.min, info.max


class Chosen(Aggregation):
    """An aggregation that returns one of the values."""

    kind: ClassVar[type[Accumulator]]

    def __init__(self, spec: AggregationSpec) -> None:
        super().__init__(spec)
        self._chosen = AccumulatorSpec(self.kind, spec.column)
        self._value = self._chosen.name, spec.window_ms

    @property
    def accumulators(self) -> list[AccumulatorSpec]:
        return [self._count, self._chosen]

    def read(self, reading: Reading) -> Values:
        return reading[self._value], reading[self._counted] > 0


class Min(Chosen):
    """The least value."""

    kind = Least


class Max(Chosen):
    """The greatest value."""

    kind = Greatest
