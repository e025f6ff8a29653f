"""The ids of the last examples, so that an example delivered twice is learned once."""

from __future__ import annotations

import hashlib

CAPACITY = 10_000
_BYTES = 8


class SeenIds:
    """Keeps the last 10,000 ids as 64-bit BLAKE2b hashes, and drops the oldest first.

    Parameters
    ----------
    data
        As `to_bytes` returns it.

    Examples
    --------
    >>> seen = SeenIds()
    >>> seen.add("example-1"), seen.add("example-1")
    (True, False)
    >>> SeenIds(seen.to_bytes()).add("example-1")
    False
    """

    def __init__(self, data: bytes = b"") -> None:
        self._in_order = bytearray(data)
        self._hashes = {data[start : start + _BYTES] for start in range(0, len(data), _BYTES)}

    def add(self, example_id: str) -> bool:
        """Add an id. False when it is among the last already."""
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
        """Return the hashes, 8 bytes each, oldest first."""
        return bytes(self._in_order)
