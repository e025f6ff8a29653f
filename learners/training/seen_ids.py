"""The ids of the last examples, so that one delivered again is not learned again."""

from __future__ import annotations

import hashlib

CAPACITY = 10_000
_BYTES = 8


class SeenIds:
    """The last 10,000 ids as 64-bit hashes, oldest forgotten first."""

    def __init__(self, data: bytes = b"") -> None:
        self._in_order = bytearray(data)
        self._hashes = {data[at : at + _BYTES] for at in range(0, len(data), _BYTES)}

    def add(self, example_id: str) -> bool:
        """Remember an id; False when it was known already."""
        hashed = hashlib.blake2b(example_id.encode(), digest_size=_BYTES).digest()
        if hashed in self._hashes:
            return False
        self._hashes.add(hashed)
        self._in_order += hashed
        if len(self._hashes) > CAPACITY:
            self._hashes.remove(bytes(self._in_order[:_BYTES]))
            del self._in_order[:_BYTES]
        return True

    def to_bytes(self) -> bytes:
        return bytes(self._in_order)
