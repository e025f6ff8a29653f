"""Slots of keys: where in the arrays of a partition the state of an entity lives."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from headrace.streams.columnar.growth import extend, room_for
from headrace.streams.columnar.keys import Key, KeyColumns, are_integers


class KeyTable:
    """Hands out a slot to each key; a slot that is freed is handed out again.

    Examples
    --------
    >>> table = KeyTable()
    >>> table.slots_of((np.array([b"ada", b"bob", b"ada"]),)).tolist()
    [0, 1, 0]
    >>> table.free(np.array([0]))
    >>> table.slots_of_keys([(b"eve",)]).tolist(), table.key(0)
    ([0], (b'eve',))
    """

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
        """Number of slots, in use or free: the rows that arrays need."""
        return len(self._keys)

    def slots_of_keys(self, keys: Sequence[Key]) -> NDArray[np.int64]:
        """Return the slot of each key, int64, shape (n,); a key without one gets one."""
        fresh = dict.fromkeys(keys)
        if self._slots:
            fresh = {key: None for key in fresh if key not in self._slots}
        added = self._add(list(fresh)) if fresh else []
        slots = added if len(added) == len(keys) else map(self._slots.__getitem__, keys)
        return np.fromiter(slots, np.int64, len(keys))

    def known_slots(self, keys: Sequence[Key]) -> NDArray[np.int64]:
        """Return the slots of those keys that have one, int64."""
        return np.array([self._slots[key] for key in keys if key in self._slots], np.int64)

    def slots_of(self, columns: KeyColumns) -> NDArray[np.int64]:
        """Return the slot of each row's key, int64, shape (n,); a key without one gets one."""
        return self.slots_of_keys(list(zip(*(column.tolist() for column in columns), strict=True)))

    def _add(self, keys: list[Key]) -> list[int]:
        """Hand out slots to keys without one: those freed last come first."""
        kept = max(len(self._free) - len(keys), 0)
        slots = self._free[kept:][::-1]
        del self._free[kept:]
        for slot, key in zip(slots, keys, strict=False):
            self._keys[slot] = key
        reused = len(slots)
        slots += range(self.size, self.size + len(keys) - reused)
        self._keys += keys[reused:]
        self._slots.update(zip(keys, slots, strict=True))
        if are_integers(keys[0]):
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
        """Return the key of a slot in use."""
        key = self._keys[slot]
        assert key is not None, f"slot {slot} is free"
        return key

    def keys_of(self, slots: NDArray[np.int64]) -> list[Key]:
        """Return the keys of slots in use."""
        return [self.key(slot) for slot in slots.tolist()]

    def columns(self, slots: NDArray[np.int64]) -> KeyColumns:
        """Return the keys of slots in use as columns, shape (n,) each."""
        if self._numbers.size:
            return tuple(np.ascontiguousarray(part) for part in self._numbers[slots].T)
        return tuple(
            np.array(part, np.int64 if isinstance(part[0], int) else None)
            for part in zip(*self.keys_of(slots), strict=True)
        )

    def free(self, slots: NDArray[np.int64]) -> None:
        """Take slots back, to hand them out again."""
        for key in self.keys_of(slots):
            del self._slots[key]
        for slot in slots.tolist():
            self._keys[slot] = None
        self._free += slots.tolist()
