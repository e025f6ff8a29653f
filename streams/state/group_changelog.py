"""The state of a key in the changelog: bytes that depend on the views of its group alone.

A word whose highest byte is the layout, and the rest the next offset after the key's last record; a word for
every ring, by hop, with the number of its tiles; then ring by ring those tiles, their number and what they
hold, and behind them what is of varying length.

In the first layout, whose byte is 0, the offset was followed by all positions of all rings, held or not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.encodings import UNVERSIONED, Encoding
from headrace.streams.state.tile_rings import TileRings

LAYOUT = Encoding(
    version=2,
    older=(UNVERSIONED,),
    remedy="run workers of that version; or stop the workers and run `headrace reset SOURCE`, which says "
    "what it will do, so that workers of this one read the event topic from its beginning",
)
_LAYOUT_BIT = 56
_WORD = 8
_POSITIONS = 1 << 16  # of rings that are looked at together


def encode_states(
    applied: NDArray[np.int64], rings: TileRings, slots: NDArray[np.int64], since_ms: int | None
) -> list[bytes]:
    """Return the states of slots, without tiles that had left every window at a clock; None keeps all."""
    depth = sum(ring.depth for ring in rings.by_hop.values())
    step = max(_POSITIONS // depth, 1)
    portions = (slots[start : start + step] for start in range(0, len(slots), step))
    return [state for portion in portions for state in _encode(applied, rings, portion, since_ms)]


def _encode(
    applied: NDArray[np.int64], rings: TileRings, slots: NDArray[np.int64], since_ms: int | None
) -> list[bytes]:
    words = [applied[slots] | LAYOUT.version << _LAYOUT_BIT]
    parts: list[list[bytes]] = []
    for ring in rings.by_hop.values():
        held = ring.held(slots, since_ms)
        words.append(held.sum(axis=1))
        parts += ring.pack(slots, held, words[-1])
    raw, width = np.column_stack(words).astype("<i8").tobytes(), _WORD * len(words)
    heads = [raw[start : start + width] for start in range(0, len(raw), width)]
    return [b"".join(state) for state in zip(heads, *parts, strict=True)]


def decode_states(
    applied: NDArray[np.int64], rings: TileRings, slots: NDArray[np.int64], states: Sequence[bytes]
) -> None:
    """Put states into their slots.

    Raises
    ------
    ValueError
        When a state has another size than the views need.
    StateError
        When it has a layout that is not read.
    """
    words = np.frombuffer(b"".join([state[:_WORD] for state in states]), "<i8")
    if len(words) != len(states):
        raise ValueError("a state is shorter than its offset")
    layouts = words >> _LAYOUT_BIT
    for layout in np.unique(layouts).tolist():
        LAYOUT.check_version(layout, "the state of a key in a changelog")
        rows = np.flatnonzero(layouts == layout)
        decode = _decode if layout == LAYOUT.version else _decode_first
        decode(applied, rings, slots[rows], [states[row] for row in rows.tolist()])


def _decode(
    applied: NDArray[np.int64], rings: TileRings, slots: NDArray[np.int64], states: Sequence[bytes]
) -> None:
    width = _WORD * (1 + len(rings.by_hop))
    heads = np.frombuffer(b"".join([state[:width] for state in states]), np.uint8)
    words = heads.reshape(-1, width).view("<i8")
    applied[slots] = words[:, 0] & (1 << _LAYOUT_BIT) - 1
    raw, starts, ends = _joined([state[width:] for state in states])
    for ring, counts in zip(rings.by_hop.values(), words.T[1:], strict=True):
        starts = ring.unpack(slots, counts, raw, starts)
    if (starts != ends).any():
        raise ValueError("a state is of another length")


def _decode_first(
    applied: NDArray[np.int64], rings: TileRings, slots: NDArray[np.int64], states: Sequence[bytes]
) -> None:
    """`_decode` of the first layout."""
    arrays = [applied, *rings.arrays()]
    widths = [array.itemsize * math.prod(array.shape[1:]) for array in arrays]
    width = sum(widths)
    rows = np.frombuffer(b"".join([state[:width] for state in states]), np.uint8).reshape(-1, width)
    for array, (start, end) in zip(arrays, pairwise([0, *np.cumsum(widths).tolist()]), strict=True):
        part = np.ascontiguousarray(rows[:, start:end]).view(array.dtype)
        array[slots] = part.reshape(-1, *array.shape[1:])
    raw, starts, ends = _joined([state[width:] for state in states])
    for ring in rings.by_hop.values():
        counts = np.full(len(slots), ring.depth)
        places = (slots[:, None] * ring.depth + np.arange(ring.depth)).ravel()
        starts = ring.unpack_ragged(places, counts, raw, starts)
    if (starts != ends).any():
        raise ValueError("a state is of another length")


def _joined(
    parts: Sequence[bytes],
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Return bytes one behind the other, and where each part begins and ends."""
    ends = np.cumsum([len(part) for part in parts])
    return np.frombuffer(b"".join(parts), np.uint8), np.concatenate(([0], ends[:-1])), ends
