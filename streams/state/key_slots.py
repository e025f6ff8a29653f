"""The keys of a group of views: which slot each has, how far it is, and what the changelog does not have yet.

A slot is a number from 0 on; it is the row of its key in every array of the state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.streams.columnar.growth import extend, room_for
from headrace.streams.columnar.key_table import KeyTable
from headrace.streams.columnar.keys import Key, decode_keys, encode_keys


class KeySlots:
    """Slots of keys.

    Attributes
    ----------
    keys
        Key to slot and back.
    applied
        Per slot the next offset after the last record applied; 0 for a free slot.
    """

    def __init__(self) -> None:
        self.keys = KeyTable()
        self.applied = np.zeros(0, np.int64)
        self._dirty = np.zeros(0, np.bool_)  # per slot: changed since the last snapshot
        self._logged = np.zeros(0, np.bool_)  # per slot: in the changelog
        self._freed: list[Key] = []  # to delete from the changelog

    def of(self, columns: tuple[NDArray[Any], ...]) -> NDArray[np.int64]:
        """Return the slots of the keys of n rows, shape (n,); a new key gets one."""
        slots = self.keys.slots_of(columns)
        self._reserve()
        return slots

    def held(self) -> NDArray[np.int64]:
        """Return the slots that have a key, in ascending order."""
        return np.flatnonzero(self.applied)

    def apply(self, slots: NDArray[np.int64], offsets: NDArray[np.int64]) -> None:
        """Note records as applied; offsets ascend, and the last of a repeated slot stays."""
        self.applied[slots] = offsets + 1
        self._dirty[slots] = True

    def move(self, by: int) -> None:
        """Move the next offset of every key by so many offsets."""
        held = self.applied > 0
        self.applied[held] += by
        self._dirty |= held

    def free(self, slots: NDArray[np.int64]) -> None:
        """Give slots back."""
        self._freed += self.keys.keys_of(slots[self._logged[slots]])
        self.applied[slots], self._dirty[slots], self._logged[slots] = 0, False, False
        self.keys.free(slots)

    def take_dirty(self) -> NDArray[np.int64]:
        """Return slots changed since the last call, in ascending order, for the changelog."""
        slots = np.flatnonzero(self._dirty)
        self._dirty[slots], self._logged[slots] = False, True
        return slots

    def take_freed(self) -> list[bytes]:
        """Return encoded keys of the changelog that were freed since the last call and have not come back."""
        freed, self._freed = self._freed, []
        return encode_keys([key for key in freed if key not in self.keys])

    def encoded(self, slots: NDArray[np.int64]) -> list[bytes]:
        """Return the keys of slots, encoded for the changelog."""
        return encode_keys(self.keys.keys_of(slots))

    def restore(self, keys: Sequence[bytes]) -> NDArray[np.int64]:
        """Give slots to the keys of a changelog."""
        slots = self.keys.slots_of_keys(decode_keys(keys))
        self._reserve()
        self._logged[slots] = True
        return slots

    def deleted(self, keys: Sequence[bytes]) -> NDArray[np.int64]:
        """Return the slots of keys that a changelog deletes, where they have one."""
        slots = self.keys.known_slots(decode_keys(keys))
        self._logged[slots] = False
        return slots

    def _reserve(self) -> None:
        have = len(self.applied)
        if self.keys.size > have:
            for array in (self.applied, self._dirty, self._logged):
                extend(array, room_for(self.keys.size, have))
