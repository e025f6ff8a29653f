"""A 64-bit hash of values, the same in every process and from every format of the events.

The bytes are taken eight at a time as little-endian words; each is folded in and mixed by the finaliser of
splitmix64 (S. Vigna, 2015), then the length in bytes. No protection against chosen collisions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def hash_values(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Return the hash of each value, uint64, shape (n,).

    Equal values have equal hashes: -0.0 is hashed as 0.0, and a bool as 0 or 1.

    Parameters
    ----------
    values
        int64, float64, bool or bytes (dtype S, UTF-8), shape (n,).

    Examples
    --------
    >>> hash_values(np.array([1, 2, 1])).tolist()
    [6916447993677403595, 11382252648283392636, 6916447993677403595]
    >>> bool((hash_values(np.array([True])) == hash_values(np.array([1]))).all())
    True
    """
    if values.dtype.kind == "S":
        return _hash_bytes(values)
    words = values + 0.0 if values.dtype == np.float64 else values.astype(np.int64)
    return _mix(_fold(np.full(len(words), _GOLDEN), words.view(np.uint64)) ^ np.uint64(8))


def _hash_bytes(values: NDArray[np.bytes_]) -> NDArray[np.uint64]:
    lengths = np.strings.str_len(values)
    width = -(-values.dtype.itemsize // 8) * 8
    words = values.astype(f"S{max(width, 8)}").view(np.uint64).reshape(len(values), -1)
    hashed = np.full(len(values), _GOLDEN)
    for number in range(words.shape[1]):
        hashed = np.where(number * 8 < lengths, _fold(hashed, words[:, number]), hashed)
    return _mix(hashed ^ lengths.astype(np.uint64))


def _fold(hashed: NDArray[np.uint64], word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return _mix((hashed ^ word) + _GOLDEN)


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return z ^ (z >> np.uint64(31))
