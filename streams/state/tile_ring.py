"""Rings of tiles: the windows of all keys of a partition that advance by the same hop.

A tile is `hop_ms` of event time; tile number ``e // hop_ms``. A sawtooth window `W` at clock `t` holds the
events with ``floor((t - W) / hop) * hop <= e``, that is the tiles from ``(t - W) // hop`` on: ``W / hop + 1``
of them. Tile `n` lives at position ``n % depth`` of its key's row. A position whose number is not the tile's
own holds an older tile that has left every window, and is overwritten; nothing is ever swept.

A hop of 0 is that of lifetime windows: one tile, number 0, that holds all events and never leaves.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from headrace.streams.aggregations.accumulator import AccumulatorSpec, Dtype, accumulators_of
from headrace.streams.columnar.batch import Batch
from headrace.streams.columnar.growth import extend, room_for
from headrace.streams.columnar.ragged_rows import RaggedRows

EMPTY = -(2**62)  # the number of a position that holds no tile
_AT_ONCE = 10_000  # slots
_FEW = 50  # up to as many slots, a loop has noted them sooner than numpy's calls


class Ring:
    """Tiles of one hop.

    Parameters
    ----------
    hop_ms
        Length of a tile; 0 where the only window is the lifetime.
    windows_ms
        The windows that are read from this ring.
    accumulators
        Those of each tile.
    dtype
        Numpy type of a source column by its name.
    """

    def __init__(
        self, hop_ms: int, windows_ms: Collection[int], accumulators: Iterable[AccumulatorSpec], dtype: Dtype
    ) -> None:
        self.hop_ms = hop_ms
        self.windows_ms = sorted(windows_ms)
        self.depth = self.windows_ms[-1] // hop_ms + 1 if hop_ms else 1
        self.accumulators = accumulators_of(sorted(accumulators, key=lambda spec: spec.name), dtype)
        self.tiles = np.full((0, self.depth), EMPTY, np.int64)  # (slots, depth): tile number per position
        self._holders: dict[int, array[int]] = {}  # tile number to slots that hold it

    def reserve(self, slots: int) -> None:
        """Make room for `slots` slots."""
        have = len(self.tiles)
        if slots <= have:
            return
        want = room_for(slots, have)
        extend(self.tiles, want, EMPTY)
        for accumulator in self.accumulators:
            accumulator.reserve(want, self.depth)

    def first_tile(self, window_ms: int, clock_ms: int) -> int:
        """Return the oldest tile of a window at a clock."""
        return (clock_ms - window_ms) // self.hop_ms if self.hop_ms else 0

    def add(self, slots: NDArray[np.int64], batch: Batch, clock_ms: int) -> None:
        """Add rows to the tiles of their keys; rows that have left every window at `clock_ms` are no-ops.

        The rows are sorted by (slot, event time, order), and so by tile of each key.
        """
        numbers = batch.event_ms // self.hop_ms if self.hop_ms else np.zeros_like(batch.event_ms)
        kept = numbers >= self.first_tile(self.windows_ms[-1], clock_ms)
        if not kept.all():
            slots, numbers, batch = slots[kept], numbers[kept], batch.take(kept)
            if not len(batch):
                return
        starts = _starts(slots, numbers)
        places = self._claim(slots[starts], numbers[starts])
        for accumulator in self.accumulators:
            accumulator.add(places, starts, batch)

    def _claim(self, slots: NDArray[np.int64], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Make room for tiles; returns their places in an array of shape (slots * depth,)."""
        places: NDArray[np.int64] = slots * self.depth + numbers % self.depth
        tiles = self.tiles.reshape(-1)
        fresh = tiles[places] != numbers
        if fresh.any():
            tiles[places[fresh]] = numbers[fresh]
            for accumulator in self.accumulators:
                accumulator.reset(places[fresh])
            self._hold(slots[fresh], numbers[fresh])
        return places

    def _hold(self, slots: NDArray[np.int64], numbers: NDArray[np.int64]) -> None:
        if not self.hop_ms:
            return
        if len(slots) < _FEW:
            for slot, number in zip(slots.tolist(), numbers.tolist(), strict=True):
                self._holders.setdefault(number, array("q")).append(slot)
            return
        by = np.argsort(numbers, kind="stable")
        slots, numbers = slots[by], numbers[by]
        first = np.flatnonzero(np.diff(numbers, prepend=EMPTY))
        for number, part in zip(numbers[first].tolist(), np.split(slots, first[1:]), strict=True):
            self._holders.setdefault(number, array("q")).frombytes(part.tobytes())

    def expiring(self, window_ms: int, before_ms: int, clock_ms: int) -> list[NDArray[np.int64]]:
        """Return slots that hold a tile which leaves a window as the clock moves on."""
        first, last = self.first_tile(window_ms, before_ms), self.first_tile(window_ms, clock_ms)
        return [np.array(self._holders[number]) for number in self._numbers(first, last)]

    def forget(self, clock_ms: int) -> None:
        """Drop the bookkeeping of tiles that have left every window."""
        last = self.first_tile(self.windows_ms[-1], clock_ms)
        for number in [n for n in self._holders if n < last]:
            del self._holders[number]

    def _numbers(self, first: int, last: int) -> list[int]:
        if last - first < len(self._holders):
            return [n for n in range(first, last) if n in self._holders]
        return sorted(n for n in self._holders if first <= n < last)

    def read(
        self, slots: NDArray[np.int64], clock_ms: int
    ) -> tuple[dict[tuple[str, int], NDArray[Any]], NDArray[np.bool_]]:
        """Return values of slots over each window, and which slots hold anything in the longest."""
        first = np.array([[self.first_tile(window_ms, clock_ms)] for window_ms in self.windows_ms])
        inside = self.tiles[slots][:, None] >= first  # (n, windows, depth)
        reading = {}
        for accumulator in self.accumulators:
            for spec, values in zip(accumulator.specs, accumulator.read(slots, inside), strict=True):
                for number, window_ms in enumerate(self.windows_ms):
                    reading[spec.name, window_ms] = values[:, number]
        return reading, np.asarray(inside[:, -1].any(axis=1))

    def clear(self, slots: NDArray[np.int64]) -> None:
        self.tiles[slots] = EMPTY
        places = (slots[:, None] * self.depth + np.arange(self.depth)).ravel()
        for rows in self.ragged():
            rows.clear(places)

    def arrays(self) -> list[NDArray[Any]]:
        """Return every array of the ring with shape (slots, depth, ...), in a fixed order."""
        held = [(spec.name, a.arrays(n)) for a in self.accumulators for n, spec in enumerate(a.specs)]
        return [self.tiles, *(array for _, arrays in sorted(held, key=itemgetter(0)) for array in arrays)]

    def ragged(self) -> list[RaggedRows]:
        """Return whatever has a row of varying length for every tile, in a fixed order."""
        found = ((spec.name, a.ragged(n)) for a in self.accumulators for n, spec in enumerate(a.specs))
        kept = [(name, rows) for name, rows in found if rows is not None]
        return [rows for _, rows in sorted(kept, key=itemgetter(0))]

    def held(self, slots: NDArray[np.int64], since_ms: int | None) -> NDArray[np.bool_]:
        """Return which positions hold a tile that had not left every window at a clock, shape (n, depth).

        Without a clock all that hold a tile.
        """
        first = EMPTY + 1 if since_ms is None else self.first_tile(self.windows_ms[-1], since_ms)
        return np.asarray(self.tiles[slots] >= first)

    def pack(
        self, slots: NDArray[np.int64], held: NDArray[np.bool_], counts: NDArray[np.int64]
    ) -> list[list[bytes]]:
        """Return tiles of slots as bytes: cells, then each kind of rows of varying length.

        Parameters
        ----------
        slots
            Shape (n,).
        held
            Which positions, shape (n, depth).
        counts
            How many of each slot.
        """
        row, positions = np.nonzero(held)
        rows = slots[row]
        cells = np.empty(len(rows), self._cell())
        most = 2 * len(rows) > held.size  # then whole rows are copied sooner than single tiles
        for number, values in enumerate(self.arrays()):
            cells[str(number)] = values[slots][held] if most else values[rows, positions]
        raw, ends = cells.tobytes(), (np.cumsum(counts) * cells.itemsize).tolist()
        parts = [raw[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        places = rows * self.depth + positions
        return [parts, *(kind.pack(places, counts) for kind in self.ragged())]

    def unpack(
        self,
        slots: NDArray[np.int64],
        counts: NDArray[np.int64],
        raw: NDArray[np.uint8],
        starts: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """Replace all tiles of slots by those that `pack` wrote, from `starts` on; returns where they end.

        Raises
        ------
        ValueError
            When the bytes are none of `pack`'s.
        """
        cell = self._cell()
        if ((counts < 0) | (counts > self.depth)).any():
            raise ValueError("a state has another number of tiles than its ring")
        ends = starts + counts * cell.itemsize
        if (ends > len(raw)).any():
            raise ValueError("a state ends before its tiles do")
        self.clear(slots)
        rows = np.repeat(slots, counts)
        if not len(rows):
            return self.unpack_ragged(rows, counts, raw, ends)
        first = np.repeat(starts - (np.cumsum(counts) - counts) * cell.itemsize, counts)
        cells = sliding_window_view(raw, cell.itemsize)[first + np.arange(len(rows)) * cell.itemsize]
        tiles = np.ascontiguousarray(cells).view(cell)[:, 0]
        positions = tiles["0"] % self.depth
        for number, values in enumerate(self.arrays()):
            values[rows, positions] = tiles[str(number)]
        return self.unpack_ragged(rows * self.depth + positions, counts, raw, ends)

    def unpack_ragged(
        self,
        places: NDArray[np.int64],
        counts: NDArray[np.int64],
        raw: NDArray[np.uint8],
        starts: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """Take up rows of varying length at places of tiles; returns where those of each slot end."""
        for rows in self.ragged():
            starts = rows.unpack(places, counts, raw, starts)
        return starts

    def _cell(self) -> np.dtype[Any]:
        """A tile in the changelog: its number, then what it holds."""
        return np.dtype([(str(n), a.dtype, a.shape[2:]) for n, a in enumerate(self.arrays())])

    def reindex(self, slots: NDArray[np.int64]) -> None:
        """Rebuild the bookkeeping of tiles after a restore; `slots` are all that have a key."""
        self._holders.clear()
        for start in range(0, len(slots), _AT_ONCE):
            part = slots[start : start + _AT_ONCE]
            row, position = np.nonzero(self.tiles[part] != EMPTY)
            self._hold(part[row], self.tiles[part[row], position])


def _starts(slots: NDArray[np.int64], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where the rows of each tile begin."""
    first = np.ones(len(slots), np.bool_)
    first[1:] = (slots[1:] != slots[:-1]) | (numbers[1:] != numbers[:-1])
    return first.nonzero()[0]
