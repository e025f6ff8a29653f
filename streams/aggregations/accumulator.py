"""State of tiles: any order of arrival brings it to the same value.

State of one kind lies together in arrays, so that a ring is updated and read in a few calls of numpy, however
many features there are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.streams.columnar.batch import Batch
from headrace.streams.columnar.growth import extend
from headrace.streams.columnar.ragged_rows import RaggedRows

TEXT_BYTES = 64  # of the longest text that is held

Indices = NDArray[np.int64]
Dtype = Callable[[str], type]  # numpy type of a column by its name


class Parameter(Protocol):
    """Tells a kind of state from others of its kind.

    Attributes
    ----------
    code
        Persisted name of the kind of parameter, never that of a class.
    text
        Persisted form of the parameter, the code first.
    """

    code: ClassVar[str]

    @property
    def text(self) -> str: ...


@dataclass(frozen=True)
class AccumulatorSpec:
    """State that each tile keeps of one column. Features with equal specs share it.

    Parameters
    ----------
    kind
        Kind of state.
    column
        The column.
    parameter
        Tells it from others of the same kind: a `Parameter`, a whole number, or None.
    """

    kind: type[Accumulator]
    column: str
    parameter: Any = None

    @cached_property
    def name(self) -> str:
        """Name among the others of a tile, by which they are ordered in the changelog: persisted."""
        plain = self.parameter is None or isinstance(self.parameter, int)
        return f"{self.kind.code}({self.column}, {self.parameter if plain else self.parameter.text})"

    @property
    def codes(self) -> set[str]:
        """Persisted codes that the name consists of."""
        plain = self.parameter is None or isinstance(self.parameter, int)
        return {self.kind.code} if plain else {self.kind.code, self.parameter.code}


class Accumulator(ABC):
    """State of one kind for every tile of a ring: `k` of them, one per spec.

    A place is the index of a tile: of its row in an array of shape (slots * depth, ...).

    Parameters
    ----------
    specs
        The k specs.
    dtype
        Numpy type of their columns.

    Attributes
    ----------
    code
        Persisted name of the kind of state: it orders the arrays in the changelog, and never changes.
    state_format
        Version of the state in the changelog: another one is another definition.
    """

    code: ClassVar[str]
    state_format: ClassVar[int] = 1

    def __init__(self, specs: Sequence[AccumulatorSpec], dtype: type) -> None:
        self.specs = specs

    @staticmethod
    def shared_by(spec: AccumulatorSpec, dtype: type) -> Hashable:
        """Return a value that is equal for specs of a kind that lie together."""
        return dtype

    @abstractmethod
    def reserve(self, slots: int, depth: int) -> None:
        """Grow to so many slots, of `depth` tiles each."""

    @abstractmethod
    def reset(self, places: Indices) -> None:
        """Empty the tiles at these places."""

    @abstractmethod
    def add(self, places: Indices, starts: Indices, batch: Batch) -> None:
        """Add the rows of a batch to g tiles. Nulls add nothing.

        Parameters
        ----------
        places
            Tiles, shape (g,), each once.
        starts
            First row of each of them, shape (g,); the rows of a tile are sorted by (event time, order).
        """

    @abstractmethod
    def read(self, slots: Indices, inside: NDArray[np.bool_]) -> Sequence[NDArray[Any]]:
        """Merge the tiles of slots over windows.

        Parameters
        ----------
        slots
            Shape (n,).
        inside
            Which tiles of a slot are in each window, shape (n, windows, depth).

        Returns
        -------
        Sequence
            k arrays of shape (n, windows, ...).
        """

    @abstractmethod
    def arrays(self, number: int) -> list[NDArray[Any]]:
        """Return the arrays of one of the k for the changelog: (slots, depth, ...), in a fixed order."""

    def ragged(self, number: int) -> RaggedRows | None:
        """Return the rows of varying length of one of the k, one row per tile; None if there are none."""
        return None


def accumulators_of(specs: Sequence[AccumulatorSpec], dtype: Dtype) -> list[Accumulator]:
    """Make the accumulators of a tile; specs that may lie together share one."""
    together: dict[tuple[type[Accumulator], Hashable], list[AccumulatorSpec]] = {}
    for spec in specs:
        together.setdefault((spec.kind, spec.kind.shared_by(spec, dtype(spec.column))), []).append(spec)
    return [kind(shared, dtype(shared[0].column)) for (kind, _), shared in together.items()]


def held_type(dtype: type) -> Any:
    """Return the numpy type in which values of a column are held."""
    return f"S{TEXT_BYTES}" if dtype is np.bytes_ else dtype


def grow(array: NDArray[Any], slots: int, depth: int, fill: Any) -> NDArray[Any]:
    """Return an array of shape (slots, depth, ...) with so many slots; see `extend`."""
    if not len(array):
        return np.full((slots, depth, *array.shape[2:]), fill, array.dtype)
    extend(array, slots, fill)
    return array


def tiles_of(array: NDArray[Any]) -> NDArray[Any]:
    """Return the same array with one row per tile, shape (slots * depth, ...)."""
    return array.reshape(-1, *array.shape[2:])


def stacked(specs: Sequence[AccumulatorSpec], batch: Batch) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return values and validity of columns of one dtype, each of shape (k, n)."""
    columns = [batch.columns[spec.column] for spec in specs]
    return np.array([c.values for c in columns]), np.array([c.valid for c in columns])
