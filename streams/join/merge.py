"""Predictions and outcomes as one log, whose order follows from the two alone.

The *order clock* of an input at a record is the greatest time up to there: event times, time marks and order
marks. It follows from the prefix of that input. The inputs are read in the order

    (order clock, predictions before outcomes, offset),

so it makes no difference which of them was read first, in which portions, or after which restart. A record
is taken once nothing that comes before it can follow in the other input: what is still to come there has at
least the order clock that has been reached. Until then it is held.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

from headrace.schemas.event_times import EARLIEST_MS
from headrace.streams.join.state import INPUTS, Input

T = TypeVar("T")
_BEFORE_ALL, _AFTER_ALL = -(1 << 62), 1 << 62


class Taken(NamedTuple, Generic[T]):
    """A record, its input, its offset, and the order clock of the input there; None where no time was yet.

    `item` is None of a record that only moves the order clock: it waits for nothing.
    """

    source: Input
    offset: int
    order_ms: int | None
    item: T | None


class InputMerge(Generic[T]):
    """Holds what was read of the inputs of a partition, and gives it out in their one order.

    Parameters
    ----------
    order
        Order clock of each input where reading begins; None before its first time.

    Examples
    --------
    >>> merge = InputMerge[str]({"predictions": None, "outcomes": None})
    >>> merge.put("outcomes", 0, 20, "o")
    >>> [one.item for one in merge.take()]
    []
    >>> merge.put("predictions", 0, 10, "p")
    >>> [one.item for one in merge.take()], merge.lagging
    (['p'], ('predictions', 21))
    >>> merge.put("predictions", 1, 30, "q")
    >>> [one.item for one in merge.take()], merge.lagging
    (['o'], ('outcomes', 30))
    """

    def __init__(self, order: Mapping[Input, int | None]) -> None:
        self._order: dict[Input, int | None] = dict(order)
        self._held: dict[Input, deque[Taken[T]]] = {source: deque() for source in INPUTS}

    def put(self, source: Input, offset: int, time_ms: int | None, item: T | None) -> None:
        """Hold a record, which moves the order clock to `time_ms` (epoch milliseconds), if to any."""
        before_ms = self._order[source]
        if time_ms is not None and (before_ms is None or time_ms > before_ms):
            self._order[source] = time_ms
        self._held[source].append(Taken(source, offset, self._order[source], item))

    def take(self) -> Iterator[Taken[T]]:
        """Return those records whose turn has come."""
        predictions, outcomes = self._held["predictions"], self._held["outcomes"]
        while predictions or outcomes:
            for held in (predictions, outcomes):
                while held and held[0].item is None:
                    yield held.popleft()
            first = self._first(predictions, "predictions")
            second = self._first(outcomes, "outcomes")
            if predictions and first <= second:
                yield predictions.popleft()
            elif outcomes and second < first:
                yield outcomes.popleft()
            else:
                return

    def end(self, source: Input) -> None:
        """Note that no record follows in an input."""
        self._order[source] = _AFTER_ALL

    def held(self, source: Input) -> int:
        """Return how many records of an input are held."""
        return len(self._held[source])

    @property
    def lagging(self) -> tuple[Input, int] | None:
        """The input that holds the other one up, and the order clock that it would have to reach; None when
        nothing is held."""
        if self._held["predictions"]:
            return "outcomes", max(self._reached("predictions"), EARLIEST_MS)
        if self._held["outcomes"]:
            return "predictions", max(self._reached("outcomes") + 1, EARLIEST_MS)
        return None

    def has_reached(self, source: Input, order_ms: int) -> bool:
        """Whether the order clock of an input, as far as it was read, is at a time or beyond."""
        return self._reached(source) >= order_ms

    def _first(self, held: deque[Taken[T]], source: Input) -> int:
        """Return the least order clock that the next record of an input can have."""
        return _or_before_all(held[0].order_ms) if held else self._reached(source)

    def _reached(self, source: Input) -> int:
        return _or_before_all(self._order[source])


def _or_before_all(order_ms: int | None) -> int:
    return _BEFORE_ALL if order_ms is None else order_ms
