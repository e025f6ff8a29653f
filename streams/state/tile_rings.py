"""The tiles of a group of views: a ring for every hop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.streams.aggregations import Aggregation, Reading
from headrace.streams.aggregations.accumulator import Dtype
from headrace.streams.columnar.batch import Batch
from headrace.streams.state.tile_ring import Ring


class TileRings:
    """Rings of tiles by hop.

    Parameters
    ----------
    aggregations
        Those of all views of the group.
    dtype
        Numpy type of a source column by its name.
    """

    def __init__(self, aggregations: Sequence[Aggregation], dtype: Dtype) -> None:
        self.by_hop: dict[int, Ring] = {}
        for hop_ms in sorted({a.spec.hop_ms for a in aggregations}):
            sharing = [a for a in aggregations if a.spec.hop_ms == hop_ms]
            accumulators = {spec for a in sharing for spec in a.accumulators}
            self.by_hop[hop_ms] = Ring(hop_ms, {a.spec.window_ms for a in sharing}, accumulators, dtype)

    def reserve(self, slots: int) -> None:
        for ring in self.by_hop.values():
            ring.reserve(slots)

    def add(self, slots: NDArray[np.int64], batch: Batch, clock_ms: int) -> None:
        """Add rows to the tiles of their keys; they are sorted by (slot, event time, order)."""
        for ring in self.by_hop.values():
            ring.add(slots, batch, clock_ms)

    def advance(self, before_ms: int, clock_ms: int) -> list[NDArray[np.int64]]:
        """Let tiles leave the windows as the clock moves; returns slots whose windows lose one."""
        slots = []
        for ring in self.by_hop.values():
            for window_ms in ring.windows_ms:
                slots += ring.expiring(window_ms, before_ms, clock_ms)
            ring.forget(clock_ms)
        return slots

    def read(self, slots: NDArray[np.int64], clock_ms: int) -> tuple[dict[int, Reading], NDArray[np.bool_]]:
        """What n slots hold, by hop, and which of them hold nothing, shape (n,)."""
        reading: dict[int, Reading] = {}
        empty = np.ones(len(slots), np.bool_)
        for hop_ms, ring in self.by_hop.items():
            reading[hop_ms], holds = ring.read(slots, clock_ms)
            empty &= ~holds
        return reading, empty

    def clear(self, slots: NDArray[np.int64]) -> None:
        for ring in self.by_hop.values():
            ring.clear(slots)

    def reindex(self, slots: NDArray[np.int64]) -> None:
        """Rebuild the bookkeeping of tiles after a restore; `slots` are all that have a key."""
        for ring in self.by_hop.values():
            ring.reindex(slots)

    def arrays(self) -> list[NDArray[Any]]:
        """Every array with a row per slot, in a fixed order."""
        return [array for ring in self.by_hop.values() for array in ring.arrays()]
