"""The partition of a key, as Kafka's Java clients choose it."""

from __future__ import annotations

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Return Kafka's 32-bit murmur2, signed, as ``org.apache.kafka.common.utils.Utils.murmur2``.

    Examples
    --------
    >>> murmur2(b"21"), murmur2(b"foobar")  # of Kafka's own tests
    (-973932308, -790332482)
    """
    hashed = _SEED ^ len(data)
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        block = int.from_bytes(data[start : start + 4], "little") * _M & _MASK
        block = (block ^ block >> 24) * _M & _MASK
        hashed = hashed * _M & _MASK ^ block
    if rest := data[whole:]:
        hashed = (hashed ^ int.from_bytes(rest, "little")) * _M & _MASK
    hashed = (hashed ^ hashed >> 13) * _M & _MASK
    hashed ^= hashed >> 15
    return hashed - (1 << 32) if hashed & 0x80000000 else hashed


def partition_for(key: bytes, partitions: int) -> int:
    """Return the partition of a key, as the default partitioner of Kafka's Java producer does.

    Parameters
    ----------
    key
        Bytes of the key.
    partitions
        Number of partitions of the topic.

    Examples
    --------
    >>> [partition_for(key, 4) for key in (b"ada", b"bob", b"eve")]
    [1, 2, 0]
    """
    return (murmur2(key) & 0x7FFFFFFF) % partitions
