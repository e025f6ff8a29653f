"""The state of a key in the changelog: bytes that depend on the views of its group alone.

The rows of its slot in all arrays, one after the other: the next offset after its last record, then the
arrays of every ring, by hop. Behind them what is of varying length, ring by ring and tile by tile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.streams.state.tile_rings import TileRings

_AT_ONCE = 10_000  # keys


def encode_states(applied: NDArray[np.int64], rings: TileRings, slots: NDArray[np.int64]) -> list[bytes]:
    """The states of slots."""
    parts = [_bytes(array, slots) for array in (applied, *rings.arrays())]
    rows = np.ascontiguousarray(np.concatenate(parts, axis=1))
    width = rows.shape[1]
    raw = rows.tobytes()
    fixed = [raw[start : start + width] for start in range(0, len(raw), width)]
    varying = [parts for ring in rings.by_hop.values() for parts in ring.pack(slots)]
    return [b"".join(parts) for parts in zip(fixed, *varying, strict=True)] if varying else fixed


def decode_states(
    applied: NDArray[np.int64], rings: TileRings, slots: NDArray[np.int64], states: Sequence[bytes]
) -> None:
    """Put states into their slots.

    Raises
    ------
    ValueError
        When a state has another size than the views need.
    """
    arrays = [applied, *rings.arrays()]
    widths = [array.itemsize * math.prod(array.shape[1:]) for array in arrays]
    width = sum(widths)
    rows = np.frombuffer(b"".join([state[:width] for state in states]), np.uint8).reshape(-1, width)
    ends = [0, *np.cumsum(widths).tolist()]
    for array, (start, end) in zip(arrays, pairwise(ends), strict=True):
        part = np.ascontiguousarray(rows[:, start:end]).view(array.dtype)
        array[slots] = part.reshape(-1, *array.shape[1:])
    for start in range(0, len(slots), _AT_ONCE):
        part_of = slice(start, start + _AT_ONCE)
        _decode_varying(rings, slots[part_of], [state[width:] for state in states[part_of]])


def _decode_varying(rings: TileRings, slots: NDArray[np.int64], states: Sequence[bytes]) -> None:
    raw = np.frombuffer(b"".join(states), np.uint8)
    ends = np.cumsum([len(state) for state in states])
    starts = np.concatenate(([0], ends[:-1]))
    for ring in rings.by_hop.values():
        starts = ring.unpack(slots, raw, starts)
    if (starts != ends).any():
        raise ValueError("a state is of another length")


def _bytes(array: NDArray[Any], slots: NDArray[np.int64]) -> NDArray[np.uint8]:
    part = np.ascontiguousarray(array[slots])
    return part.view(np.uint8).reshape(len(slots), -1)
