"""Keys to slots: where in the arrays of a partition the state of an entity lives."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.streams.columnar.growth import extend, room_for

KeyColumns = tuple[NDArray[Any], ...]  # one array of shape (n,) per join key: int64 or dtype S
Key = tuple[int | bytes, ...]
_INTEGER = np.frombuffer(b"i" + (8).to_bytes(4, "little"), np.uint8)  # before the bytes of an integer
_INTEGER_BYTES = 13


def distinct(columns: KeyColumns) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row of the first appearance of each distinct key, and for every row the number of its key.

    Both int64; the first has one entry per distinct key, the second shape (n,).
    """
    codes = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        values, inverse = np.unique(column, return_inverse=True)
        codes = codes * len(values) + inverse
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    return first.astype(np.int64), inverse.astype(np.int64)


def key_at(columns: KeyColumns, row: int) -> Key:
    return tuple(column[row].item() for column in columns)


def encode_key(key: Key) -> bytes:
    """A key as bytes: per part a type letter, a length and the bytes."""
    parts = []
    for part in key:
        raw = part if isinstance(part, bytes) else part.to_bytes(8, "little", signed=True)
        parts.append((b"s" if isinstance(part, bytes) else b"i") + len(raw).to_bytes(4, "little") + raw)
    return b"".join(parts)


def decode_key(raw: bytes) -> Key:
    """The inverse of `encode_key`."""
    parts: list[int | bytes] = []
    at = 0
    while at < len(raw):
        end = at + 5 + int.from_bytes(raw[at + 1 : at + 5], "little")
        body = raw[at + 5 : end]
        parts.append(body if raw[at : at + 1] == b"s" else int.from_bytes(body, "little", signed=True))
        at = end
    return tuple(parts)


def decode_keys(raws: Sequence[bytes]) -> list[Key]:
    """`decode_key` of many keys, faster where they are integers alone, or one text."""
    if raws and raws[0] and len(raws[0]) % _INTEGER_BYTES == 0 and len(set(map(len, raws))) == 1:
        cells = np.frombuffer(b"".join(raws), np.uint8).reshape(len(raws), -1, _INTEGER_BYTES)
        if (cells[:, :, :5] == _INTEGER).all():
            parts = np.ascontiguousarray(cells[:, :, 5:]).view("<i8")[:, :, 0]
            return list(zip(*(column.tolist() for column in parts.T), strict=True))
    return [
        (raw[5:],) if raw[:5] == b"s" + (len(raw) - 5).to_bytes(4, "little", signed=True) else decode_key(raw)
        for raw in raws
    ]


def encode_keys(keys: Sequence[Key]) -> list[bytes]:
    """`encode_key` of many keys of one kind, faster where they are integers alone."""
    if not keys or not _are_integers(keys[0]):
        return [encode_key(key) for key in keys]
    cells = np.empty((len(keys), len(keys[0]), _INTEGER_BYTES), np.uint8)
    cells[:, :, :5] = _INTEGER
    cells[:, :, 5:] = np.array(keys, "<i8").view(np.uint8).reshape(len(keys), -1, 8)
    raw, width = cells.tobytes(), cells[0].size
    return [raw[start : start + width] for start in range(0, len(raw), width)]


def _are_integers(key: Key) -> bool:
    return all(isinstance(part, int) for part in key)


class KeyTable:
    """A table of keys with slots that are handed out, freed and handed out again."""

    def __init__(self) -> None:
        self._slots: dict[Key, int] = {}
        self._keys: list[Key | None] = []
        self._free: list[int] = []
        self._numbers = np.zeros((0, 0), np.int64)  # (slots, parts) of keys that are integers alone

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, key: Key) -> bool:
        return key in self._slots

    @property
    def size(self) -> int:
        """Slots in use or freed: what arrays must have room for."""
        return len(self._keys)

    def slots_of_keys(self, keys: Sequence[Key]) -> NDArray[np.int64]:
        """The slot of every key, shape (n,); keys not seen before get one."""
        fresh = dict.fromkeys(keys)
        if self._slots:
            fresh = {key: None for key in fresh if key not in self._slots}
        added = self._add(list(fresh)) if fresh else []
        found = added if len(added) == len(keys) else map(self._slots.__getitem__, keys)
        return np.fromiter(found, np.int64, len(keys))

    def known_slots(self, keys: Sequence[Key]) -> NDArray[np.int64]:
        """The slots of those keys that have one."""
        return np.array([self._slots[key] for key in keys if key in self._slots], np.int64)

    def slots_of(self, columns: KeyColumns) -> NDArray[np.int64]:
        """The slot of every row, shape (n,); keys not seen before get one."""
        return self.slots_of_keys(list(zip(*(column.tolist() for column in columns), strict=True)))

    def _add(self, keys: list[Key]) -> list[int]:
        """Hand out slots to keys, none of which has one: what was freed last first."""
        kept = max(len(self._free) - len(keys), 0)
        slots = self._free[kept:][::-1]
        del self._free[kept:]
        for slot, key in zip(slots, keys, strict=False):
            self._keys[slot] = key
        reused = len(slots)
        slots += range(self.size, self.size + len(keys) - reused)
        self._keys += keys[reused:]
        self._slots.update(zip(keys, slots, strict=True))
        if _are_integers(keys[0]):
            self._reserve(len(keys[0]))
            numbers = np.fromiter(chain.from_iterable(keys), np.int64, len(keys) * len(keys[0]))
            self._numbers[slots] = numbers.reshape(len(keys), -1)
        return slots

    def _reserve(self, parts: int) -> None:
        have = len(self._numbers)
        if not have:
            self._numbers = np.zeros((0, parts), np.int64)
        if self.size > have:
            extend(self._numbers, room_for(self.size, have))

    def key(self, slot: int) -> Key:
        key = self._keys[slot]
        assert key is not None, f"slot {slot} is free"
        return key

    def keys_of(self, slots: NDArray[np.int64]) -> list[Key]:
        """The keys of slots."""
        return [self.key(slot) for slot in slots.tolist()]

    def columns(self, slots: NDArray[np.int64]) -> KeyColumns:
        """The keys of slots as columns, shape (n,) each."""
        if self._numbers.size:
            return tuple(np.ascontiguousarray(part) for part in self._numbers[slots].T)
        return tuple(
            np.array(part, np.int64 if isinstance(part[0], int) else None)
            for part in zip(*self.keys_of(slots), strict=True)
        )

    def free(self, slots: NDArray[np.int64]) -> None:
        """Take slots back."""
        for key in self.keys_of(slots):
            del self._slots[key]
        for slot in slots.tolist():
            self._keys[slot] = None
        self._free += slots.tolist()
