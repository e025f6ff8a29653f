"""Online rows of a group of views, read from its tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.feature_specs import StreamViewSpec
from headrace.streams.aggregations import Aggregation, ListValues, Reading, Values
from headrace.streams.columnar.key_table import KeyTable
from headrace.streams.sinks import OnlineRows
from headrace.streams.state.overflowing_sums import OverflowingSums
from headrace.streams.state.tile_rings import TileRings

_AT_ONCE = 10_000  # slots


class GroupRows:
    """Makes rows of slots, and keeps which of their sums do not fit.

    Parameters
    ----------
    views, aggregations
        The views of the group, and the aggregations of each by its name, in the plan's order.
    keys
        The keys of the slots.
    rings
        Their tiles.
    """

    def __init__(
        self,
        views: Sequence[StreamViewSpec],
        aggregations: Mapping[str, Sequence[Aggregation]],
        keys: KeyTable,
        rings: TileRings,
    ) -> None:
        self._views, self._aggregations, self._keys, self._rings = views, aggregations, keys, rings
        self.overflowing = OverflowingSums(aggregations, keys)

    def read(
        self, slots: NDArray[np.int64], partition: int, offset: int, clock_ms: int
    ) -> tuple[list[OnlineRows], NDArray[np.bool_]]:
        """Rows of n slots as of a log prefix and a clock, one batch per view; and which slots are empty."""
        keys = self._keys.columns(slots)
        reading, empty = self._rings.read(slots, clock_ms)
        rows = []
        for view in self._views:
            features = self._features(view.name, reading)
            self.overflowing.judge(view.name, slots, reading, features, clock_ms)
            rows.append(OnlineRows(view.name, keys, features, partition, offset, clock_ms))
        return rows, empty

    def judge(self, slots: NDArray[np.int64], clock_ms: int) -> None:
        """Find which sums of slots do not fit, where that was reported before a crash."""
        if not len(slots) or not self.overflowing:
            return
        reading, _ = self._rings.read(slots, clock_ms)
        for view in self._views:
            features = self._features(view.name, reading)
            self.overflowing.judge(view.name, slots, reading, features, clock_ms, report=False)

    def judge_restored(self, slots: NDArray[np.int64], clock_ms: int) -> None:
        """Find which sums of restored slots do not fit, reading only those where one may not."""
        if not self.overflowing:
            return
        slots = np.sort(slots)
        for start in range(0, len(slots), _AT_ONCE):
            part = slots[start : start + _AT_ONCE]
            self.judge(part[self.overflowing.possible(part, self._rings.by_hop)], clock_ms)

    def _features(self, view: str, reading: Mapping[int, Reading]) -> tuple[Values | ListValues, ...]:
        return tuple(a.read(reading[a.spec.hop_ms]) for a in self._aggregations[view])
