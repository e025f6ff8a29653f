"""Keys of entities: the values of the join keys, as tuples, as columns and as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

KeyColumns = tuple[NDArray[Any], ...]  # one array of shape (n,) per join key: int64 or dtype S
Key = tuple[int | bytes, ...]
_INTEGER = np.frombuffer(b"i" + (8).to_bytes(4, "little"), np.uint8)  # before the bytes of an integer
_INTEGER_BYTES = 13


def distinct(columns: KeyColumns) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the distinct keys of some rows.

    Returns
    -------
    first
        Row of the first appearance of each distinct key, int64.
    number
        Number of each row's key, an index into `first`: int64, shape (n,).

    Examples
    --------
    >>> first, number = distinct((np.array([b"ada", b"bob", b"ada"]),))
    >>> first.tolist(), number.tolist()
    ([0, 1], [0, 1, 0])
    """
    codes = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        values, inverse = np.unique(column, return_inverse=True)
        codes = codes * len(values) + inverse
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    return first.astype(np.int64), inverse.astype(np.int64)


def key_at(columns: KeyColumns, row: int) -> Key:
    """Return the key of a row."""
    return tuple(column[row].item() for column in columns)


def are_integers(key: Key) -> bool:
    """Whether every part of a key is an integer."""
    return all(isinstance(part, int) for part in key)


def encode_key(key: Key) -> bytes:
    """Encode a key: per part ``i`` or ``s``, a length in 4 bytes, and the bytes.

    Examples
    --------
    >>> encode_key((b"EWR", 7))
    b's\\x03\\x00\\x00\\x00EWRi\\x08\\x00\\x00\\x00\\x07\\x00\\x00\\x00\\x00\\x00\\x00\\x00'
    >>> decode_key(encode_key((b"EWR", 7)))
    (b'EWR', 7)
    """
    parts = []
    for part in key:
        raw = part if isinstance(part, bytes) else part.to_bytes(8, "little", signed=True)
        parts.append((b"s" if isinstance(part, bytes) else b"i") + len(raw).to_bytes(4, "little") + raw)
    return b"".join(parts)


def decode_key(raw: bytes) -> Key:
    """Decode a key; the inverse of `encode_key`."""
    parts: list[int | bytes] = []
    start = 0
    while start < len(raw):
        end = start + 5 + int.from_bytes(raw[start + 1 : start + 5], "little")
        body = raw[start + 5 : end]
        parts.append(body if raw[start : start + 1] == b"s" else int.from_bytes(body, "little", signed=True))
        start = end
    return tuple(parts)


def decode_keys(raws: Sequence[bytes]) -> list[Key]:
    """Decode many keys; faster than one by one for keys of integers alone, or of one text."""
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
    """Encode many keys with parts of the same types; faster than one by one for integers alone."""
    if not keys or not are_integers(keys[0]):
        return [encode_key(key) for key in keys]
    cells = np.empty((len(keys), len(keys[0]), _INTEGER_BYTES), np.uint8)
    cells[:, :, :5] = _INTEGER
    cells[:, :, 5:] = np.array(keys, "<i8").view(np.uint8).reshape(len(keys), -1, 8)
    raw, width = cells.tobytes(), cells[0].size
    return [raw[start : start + width] for start in range(0, len(raw), width)]
