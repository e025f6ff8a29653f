"""Rings of tiles: the windows of all keys of a partition that advance by the same hop.

A tile is `hop_ms` of event time; tile number ``e // hop_ms``. A sawtooth window `W` at clock `t` holds the
events with ``floor((t - W) / hop) * hop <= e``, that is the tiles from ``(t - W) // hop`` on: ``W / hop + 1``
of them. Tile `n` lives at position ``n % depth`` of its key's row. A position whose number is not the tile's
own holds an older tile that has left every window, and is overwritten; nothing is ever swept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.accumulators import Accumulator
from streams.batch import Batch

EMPTY = -(2**62)  # the number of a position that holds no tile


@dataclass(frozen=True)
class Groups:
    """Rows of a batch sorted into groups of one tile of one key, by event time and order within.

    `order` (n,) sorts the rows; `starts` (g,) is where each group begins in that order; `slots` and
    `positions` (g,) say where it belongs.
    """

    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    slots: NDArray[np.int64]
    positions: NDArray[np.int64]


class Ring:
    """Tiles of one hop.

    Parameters
    ----------
    hop_ms
        Length of a tile.
    window_ms
        The longest window that is read from this ring.
    accumulators
        What each tile holds, by name.
    """

    def __init__(self, hop_ms: int, window_ms: int, accumulators: Mapping[str, Accumulator]) -> None:
        self.hop_ms = hop_ms
        self.window_ms = window_ms
        self.depth = window_ms // hop_ms + 1
        self.accumulators = dict(accumulators)
        self.tiles = np.full((0, self.depth), EMPTY, np.int64)  # (slots, depth): tile number per position
        self._holders: dict[int, list[int]] = {}  # tile number to slots that hold it

    def reserve(self, slots: int) -> None:
        """Make room for `slots` slots, growing by half."""
        have = len(self.tiles)
        if slots <= have:
            return
        want = max(slots, have + have // 2, 64)
        self.tiles = np.vstack([self.tiles, np.full((want - have, self.depth), EMPTY, np.int64)])
        for accumulator in self.accumulators.values():
            accumulator.reserve(want, self.depth)

    def first_tile(self, window_ms: int, clock_ms: int) -> int:
        """The oldest tile of a window at a clock."""
        return (clock_ms - window_ms) // self.hop_ms

    def add(self, slots: NDArray[np.int64], batch: Batch, clock_ms: int) -> None:
        """Add rows to the tiles of their keys; rows that have left every window at `clock_ms` are no-ops."""
        tile = batch.event_ms // self.hop_ms
        rows = np.flatnonzero(tile >= self.first_tile(self.window_ms, clock_ms))
        if not len(rows):
            return
        groups = self._group(rows, slots, tile, batch)
        for accumulator in self.accumulators.values():
            accumulator.add(groups.slots, groups.positions, groups.order, groups.starts, batch)

    def _group(
        self, rows: NDArray[np.int64], slots: NDArray[np.int64], tile: NDArray[np.int64], batch: Batch
    ) -> Groups:
        by = np.lexsort((batch.order[rows], batch.event_ms[rows], tile[rows], slots[rows]))
        order = rows[by]
        slot, number = slots[order], tile[order]
        new = np.ones(len(order), np.bool_)
        new[1:] = (slot[1:] != slot[:-1]) | (number[1:] != number[:-1])
        starts = np.flatnonzero(new)
        at_slot, at_tile = slot[starts], number[starts]
        positions = at_tile % self.depth
        self._claim(at_slot, at_tile, positions)
        return Groups(order, starts, at_slot, positions)

    def _claim(
        self, slots: NDArray[np.int64], numbers: NDArray[np.int64], positions: NDArray[np.int64]
    ) -> None:
        fresh = np.flatnonzero(self.tiles[slots, positions] != numbers)
        if not len(fresh):
            return
        slots, numbers, positions = slots[fresh], numbers[fresh], positions[fresh]
        self.tiles[slots, positions] = numbers
        for accumulator in self.accumulators.values():
            accumulator.reset(slots, positions)
        self._hold(slots, numbers)

    def _hold(self, slots: NDArray[np.int64], numbers: NDArray[np.int64]) -> None:
        for slot, number in zip(slots.tolist(), numbers.tolist(), strict=True):
            self._holders.setdefault(number, []).append(slot)

    def expiring(self, window_ms: int, before_ms: int, clock_ms: int) -> list[int]:
        """Slots that held a tile which leaves a window as the clock moves from `before_ms` to `clock_ms`."""
        first, last = self.first_tile(window_ms, before_ms), self.first_tile(window_ms, clock_ms)
        return [slot for number in self._numbers(first, last) for slot in self._holders[number]]

    def forget(self, clock_ms: int) -> None:
        """Drop the bookkeeping of tiles that have left every window."""
        last = self.first_tile(self.window_ms, clock_ms)
        for number in [n for n in self._holders if n < last]:
            del self._holders[number]

    def _numbers(self, first: int, last: int) -> list[int]:
        if last - first < len(self._holders):
            return [n for n in range(first, last) if n in self._holders]
        return sorted(n for n in self._holders if first <= n < last)

    def inside(self, slots: NDArray[np.int64], window_ms: int, clock_ms: int) -> NDArray[np.bool_]:
        """Which positions of the slots' rows are inside a window, shape (n, depth)."""
        inside: NDArray[np.bool_] = self.tiles[slots] >= self.first_tile(window_ms, clock_ms)
        return inside

    def is_empty(self, slots: NDArray[np.int64], clock_ms: int) -> NDArray[np.bool_]:
        """Which slots hold nothing in the longest window, shape (n,)."""
        holds: NDArray[np.bool_] = np.any(self.inside(slots, self.window_ms, clock_ms), axis=1)
        return ~holds

    def clear(self, slots: NDArray[np.int64]) -> None:
        self.tiles[slots] = EMPTY

    def arrays(self) -> list[NDArray[Any]]:
        """Every array of the ring with shape (slots, depth), in a fixed order."""
        held = [array for _, a in sorted(self.accumulators.items()) for array in a.arrays()]
        return [self.tiles, *held]

    def reindex(self, slots: NDArray[np.int64]) -> None:
        """Rebuild the bookkeeping of tiles after a restore."""
        row, position = np.nonzero(self.tiles[slots] != EMPTY)
        if len(row):
            self._hold(slots[row], self.tiles[slots[row], position])
