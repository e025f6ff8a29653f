"""What one tile of one key holds: state that any order of arrival brings to the same value.

State of a kind lies together, so that a ring is added to and read in a few calls of numpy, however many
features there are.
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
class Held:
    """What a tile holds of one column: a kind of state, and what tells it from others of its kind.

    `parameter` is a `Parameter`, a whole number, or None.
    """

    kind: type[Accumulator]
    column: str
    parameter: Any = None

    @cached_property
    def name(self) -> str:
        """Tell it from the others of a tile, and order them in the changelog: persisted."""
        plain = self.parameter is None or isinstance(self.parameter, int)
        return f"{self.kind.code}({self.column}, {self.parameter if plain else self.parameter.text})"

    @property
    def codes(self) -> set[str]:
        """Persisted codes that the name is made of."""
        plain = self.parameter is None or isinstance(self.parameter, int)
        return {self.kind.code} if plain else {self.kind.code, self.parameter.code}


class Accumulator(ABC):
    """State of one kind: `k` of them per tile. Places are indices into arrays of shape (slots * depth, ...).

    Parameters
    ----------
    held
        The k things to be held.
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

    def __init__(self, held: Sequence[Held], dtype: type) -> None:
        self.held = held

    @staticmethod
    def shared_by(held: Held, dtype: type) -> Hashable:
        """Those of a kind with the same value here are held together."""
        return dtype

    @abstractmethod
    def reserve(self, slots: int, depth: int) -> None:
        """Grow to `slots` rows."""

    @abstractmethod
    def reset(self, places: Indices) -> None:
        """Empty the tiles at these places."""

    @abstractmethod
    def add(self, places: Indices, starts: Indices, batch: Batch) -> None:
        """Add the rows of a batch to g tiles; nulls add nothing.

        The rows of a tile begin at its entry of `starts` and are sorted by (event time, order).
        """

    @abstractmethod
    def read(self, slots: Indices, inside: NDArray[np.bool_]) -> Sequence[NDArray[Any]]:
        """State over the tiles where `inside` (n, windows, depth) is True: k arrays (n, windows, ...)."""

    @abstractmethod
    def arrays(self, number: int) -> list[NDArray[Any]]:
        """What is kept of one of the k, each (slots, depth, ...), in a fixed order, for the changelog."""

    def ragged(self, number: int) -> RaggedRows | None:
        """What is kept of one of the k in rows of varying length, one for every tile."""
        return None


def accumulators_of(held: Sequence[Held], dtype: Dtype) -> list[Accumulator]:
    """The accumulators that hold these, those of a kind together."""
    kinds: dict[tuple[type[Accumulator], Hashable], list[Held]] = {}
    for one in held:
        kinds.setdefault((one.kind, one.kind.shared_by(one, dtype(one.column))), []).append(one)
    return [kind(together, dtype(together[0].column)) for (kind, _), together in kinds.items()]


def grow(array: NDArray[Any], slots: int, depth: int, fill: Any) -> NDArray[Any]:
    """The array, of shape (slots, depth, ...), with more slots; see `extend`."""
    if not len(array):
        return np.full((slots, depth, *array.shape[2:]), fill, array.dtype)
    extend(array, slots, fill)
    return array


def tiles_of(array: NDArray[Any]) -> NDArray[Any]:
    """The same array with one row per tile, shape (slots * depth, ...)."""
    return array.reshape(-1, *array.shape[2:])


def stacked(held: Sequence[Held], batch: Batch) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Values and validity of columns of one dtype, shape (k, n)."""
    columns = [batch.columns[one.column] for one in held]
    return np.array([c.values for c in columns]), np.array([c.valid for c in columns])
