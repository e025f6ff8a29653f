"""Sums that overflow the type of their feature.

Whether a sum fits is a property of a row, and so a function of the log. How many do not is counted. Each is
reported by a dead letter when it begins not to fit, once in a hop of event time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.feature_specs import AggregationSpec
from headrace.streams.aggregations import Aggregation, ListValues, Reading, Values
from headrace.streams.aggregations.sum import MOST_VALUES, Sum, Summing
from headrace.streams.aggregations.totals import Totals
from headrace.streams.columnar.growth import extend, room_for
from headrace.streams.columnar.key_table import KeyTable
from headrace.streams.columnar.keys import Key
from headrace.streams.state.tile_ring import Ring

_NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class OverflowingSum:
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
        Why the value is null, and how to avoid that.
    """

    feature: str
    key: Key
    window_end_ms: int | None
    as_of_ms: int
    reason: str

    def dead_letter(self, topic: str, partition: int, offset: int) -> DeadLetter:
        """Return the dead letter of the sum; `offset` is that of the last record applied."""
        return DeadLetter(
            topic=topic,
            partition=partition,
            offset=offset,
            timestamp_ms=self.as_of_ms,
            reason=self.reason,
            kind="overflow",
            key=None,
            value=None,
            feature=self.feature,
            entity=tuple(part.decode() if isinstance(part, bytes) else part for part in self.key),
            window_end_ms=self.window_end_ms,
        )


class OverflowingSums:
    """Keeps which sums of a group of views do not fit, slot by slot.

    Parameters
    ----------
    aggregations
        Those of every view, by its name, in the plan's order.
    keys
        The keys of the slots.
    """

    def __init__(self, aggregations: Mapping[str, Sequence[Aggregation]], keys: KeyTable) -> None:
        self._aggregations, self._keys = aggregations, keys
        self._summing = [
            (view, a) for view, of_view in aggregations.items() for a in of_view if isinstance(a, Summing)
        ]
        self._number = {(view, a.spec.feature): number for number, (view, a) in enumerate(self._summing)}
        self._overflowing = np.zeros((0, len(self._summing)), np.bool_)  # (slots, features)
        self._reported_ms = np.zeros((0, len(self._summing)), np.int64)  # end of the last hop reported
        self._new: list[OverflowingSum] = []
        self._bounds = _bounds([a for _, a in self._summing])
        self.count = 0

    def __bool__(self) -> bool:
        """Whether there are sums at all."""
        return bool(self._summing)

    def reserve(self, slots: int) -> None:
        have = len(self._overflowing)
        if slots > have:
            extend(self._overflowing, room_for(slots, have), False)
            extend(self._reported_ms, room_for(slots, have), _NEVER)

    def judge(
        self,
        view: str,
        slots: NDArray[np.int64],
        reading: Mapping[int, Reading],
        features: Sequence[Values | ListValues],
        clock_ms: int,
        report: bool = True,
    ) -> None:
        """Check the rows of a view, and report sums that begin not to fit.

        Parameters
        ----------
        slots
            Those of the n rows.
        reading
            Values read from their tiles, by hop.
        features
            The features computed from `reading`.
        report
            False for sums that were reported before a crash.
        """
        for a, (_, valid) in zip(self._aggregations[view], features, strict=True):
            if not isinstance(a, Summing) or (valid.all() and not self.count):
                continue
            read = reading[a.spec.hop_ms]
            overflowing = a.due(read) & ~valid
            if self.count or overflowing.any():
                fresh = self._note(self._number[view, a.spec.feature], a.spec, slots, overflowing, clock_ms)
                self._new += [
                    self._overflowing_sum(view, a, read, slots, row, clock_ms) for row in fresh if report
                ]

    def _note(
        self,
        number: int,
        spec: AggregationSpec,
        slots: NDArray[np.int64],
        overflowing: NDArray[np.bool_],
        clock_ms: int,
    ) -> list[int]:
        """Keep which slots have a sum that does not fit; returns the rows to report."""
        before = self._overflowing[slots, number]
        self._overflowing[slots, number] = overflowing
        self.count += int(overflowing.sum()) - int(before.sum())
        end_ms = _window_end_ms(spec, clock_ms) or 0
        fresh = np.flatnonzero(overflowing & ~before & (self._reported_ms[slots, number] < end_ms))
        self._reported_ms[slots[fresh], number] = end_ms
        rows: list[int] = fresh.tolist()
        return rows

    def _overflowing_sum(
        self, view: str, a: Summing, reading: Reading, slots: NDArray[np.int64], row: int, clock_ms: int
    ) -> OverflowingSum:
        key, end_ms = self._keys.key(int(slots[row])), _window_end_ms(a.spec, clock_ms)
        return OverflowingSum(f"{view}:{a.spec.feature}", key, end_ms, clock_ms, _reason(a, reading, row))

    def take_new(self) -> list[OverflowingSum]:
        """Return the sums that have begun not to fit since the last call."""
        new, self._new = self._new, []
        return new

    def possible(self, slots: NDArray[np.int64], rings: Mapping[int, Ring]) -> NDArray[np.bool_]:
        """Which slots hold so much in their tiles that a sum may not fit, shape (n,)."""
        possible = np.zeros(len(slots), np.bool_)
        for hop_ms, bounds in self._bounds.items():
            for totals in rings[hop_ms].accumulators:
                if isinstance(totals, Totals):
                    for number, held in enumerate(totals.specs):
                        if bounds.get(held.name, math.inf) < math.inf:
                            possible |= totals.magnitudes(number, slots) >= bounds[held.name]
        return possible

    def clear(self, slots: NDArray[np.int64]) -> None:
        """Forget slots that are given back."""
        self.count -= int(self._overflowing[slots].sum())
        self._overflowing[slots], self._reported_ms[slots] = False, _NEVER


def _window_end_ms(spec: AggregationSpec, clock_ms: int) -> int | None:
    """End of the hop that a clock is in; None for a lifetime."""
    return (clock_ms // spec.hop_ms + 1) * spec.hop_ms if spec.hop_ms else None


def _bounds(summing: Sequence[Summing]) -> dict[int, dict[str, float]]:
    """By hop and name of what is held: totals that are less than this in magnitude fit."""
    bounds: dict[int, dict[str, float]] = {}
    for a in summing:
        ring = bounds.setdefault(a.spec.hop_ms, {})
        ring[a.count_name] = float(MOST_VALUES)
        ring[a.sum_name] = min(a.safe, ring.get(a.sum_name, math.inf))
    return bounds


def _reason(aggregation: Summing, reading: Reading, row: int) -> str:
    """Why the value of a row is null, and what can be done."""
    spec = aggregation.spec
    quanta = aggregation.sum_of(reading, row)
    what = (
        f"the {spec.function} of {spec.column}, of values that add up to {quanta} units of {spec.quantum:g},"
    )
    whole = isinstance(aggregation, Sum) and spec.dtype.startswith("Int")
    remedy = "sum a coarser unit" if whole else "declare a larger headrace.quantum"
    return f"{what} does not fit {spec.dtype} and is null; {remedy}, or a shorter window"
