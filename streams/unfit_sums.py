"""Sums that do not fit the type of their feature: which ones at the moment, and which ones to tell of.

Whether a sum fits is a property of a row, and so a function of the log. How many do not is counted. A letter
tells of each when it begins not to fit, once in a hop of event time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.plan import AggregationSpec
from streams.aggregations import Aggregation, Reading
from streams.aggregations.sum import MOST_VALUES, Sum, Summing
from streams.aggregations.totals import Totals
from streams.keys import Key
from streams.rings import Ring

_NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class UnfitSum:
    """A sum that began not to fit.

    Attributes
    ----------
    feature
        ``view:feature``.
    key
        Values of the join keys.
    window_end_ms
        End of the hop it was found in, epoch milliseconds; None for a lifetime.
    as_of_ms
        The clock, epoch milliseconds.
    reason
        What does not fit, and what to do.
    """

    feature: str
    key: Key
    window_end_ms: int | None
    as_of_ms: int
    reason: str


class UnfitSums:
    """The sums of a group of views: of every slot, which do not fit.

    Parameters
    ----------
    features
        View and aggregation of every feature that is made of a sum.
    """

    def __init__(self, features: Sequence[tuple[str, Aggregation]]) -> None:
        self._number = {(view, a.spec.feature): number for number, (view, a) in enumerate(features)}
        self._unfit = np.zeros((0, len(features)), np.bool_)  # (slots, features)
        self._told_ms = np.zeros((0, len(features)), np.int64)  # end of the last hop that was told of
        self.count = 0

    def __bool__(self) -> bool:
        """Whether there are sums at all."""
        return bool(self._number)

    def reserve(self, slots: int) -> None:
        have, width = self._unfit.shape
        if slots > have:
            more = max(slots - have, have // 2, 64)
            self._unfit = np.vstack([self._unfit, np.zeros((more, width), np.bool_)])
            self._told_ms = np.vstack([self._told_ms, np.full((more, width), _NEVER)])

    def take(
        self,
        view: str,
        spec: AggregationSpec,
        slots: NDArray[np.int64],
        unfit: NDArray[np.bool_],
        clock_ms: int,
    ) -> NDArray[np.int64]:
        """Note which slots have a sum that does not fit; returns the rows that are to be told of."""
        number = self._number[view, spec.feature]
        if not self.count and not unfit.any():
            return np.zeros(0, np.int64)
        before = self._unfit[slots, number]
        self._unfit[slots, number] = unfit
        self.count += int(unfit.sum()) - int(before.sum())
        end_ms = window_end_ms(spec, clock_ms) or 0
        fresh = np.flatnonzero(unfit & ~before & (self._told_ms[slots, number] < end_ms))
        self._told_ms[slots[fresh], number] = end_ms
        return fresh

    def clear(self, slots: NDArray[np.int64]) -> None:
        """The slots are given back."""
        self.count -= int(self._unfit[slots].sum())
        self._unfit[slots], self._told_ms[slots] = False, _NEVER


def window_end_ms(spec: AggregationSpec, clock_ms: int) -> int | None:
    """End of the hop that a clock is in; None for a lifetime."""
    return (clock_ms // spec.hop_ms + 1) * spec.hop_ms if spec.hop_ms else None


def may_not_fit(ring: Ring, aggregation: Summing, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Slots whose tiles hold so much that they are to be looked at, shape (n,)."""
    bounds = {aggregation.sum_name: aggregation.safe, aggregation.count_name: float(MOST_VALUES)}
    found = np.zeros(len(slots), np.bool_)
    for totals in ring.accumulators:
        if isinstance(totals, Totals):
            for number, held in enumerate(totals.held):
                if held.name in bounds:
                    found |= totals.magnitudes(number, slots) >= bounds[held.name]
    return found


def reason_of(aggregation: Summing, reading: Reading, row: int) -> str:
    """Why the value of a row is null, and what can be done."""
    spec = aggregation.spec
    quanta = aggregation.sum_of(reading, row)
    what = (
        f"the {spec.function} of {spec.column}, of values that add up to {quanta} units of {spec.quantum:g},"
    )
    whole = isinstance(aggregation, Sum) and spec.dtype.startswith("Int")
    remedy = "make the feature a Float64" if whole else "declare a larger headrace.quantum"
    return f"{what} does not fit {spec.dtype} and is null; {remedy}, or a shorter window"
