"""The naive oracle of sketches: plain Python, value by value, sharing no code with the engine."""

from __future__ import annotations

import math
import struct
from collections import Counter
from fractions import Fraction

WORD = 2**64


def distinct_of(values: list, bits: int) -> int:
    """HyperLogLog, estimated as in Ertl 2017, algorithm 6."""
    return estimate_of(registers_of(values, bits), bits)


def registers_of(values: list, bits: int) -> list[int]:
    registers = [0] * 2**bits
    for value in values:
        hashed = hash_of(value)
        rank, rest = 1, hashed // 2**bits
        while rank <= 64 - bits and rest % 2 == 0:
            rank, rest = rank + 1, rest // 2
        registers[hashed % 2**bits] = max(registers[hashed % 2**bits], rank)
    return registers


def hash_of(value: object) -> int:
    if isinstance(value, float):
        raw = struct.pack("<d", value + 0.0)
    elif isinstance(value, int):
        raw = struct.pack("<q", value)
    else:
        raw = value if isinstance(value, bytes) else value.encode()
    hashed = 0x9E3779B97F4A7C15
    for at in range(0, len(raw), 8):
        word = int.from_bytes(raw[at : at + 8], "little")
        hashed = mix(((hashed ^ word) + 0x9E3779B97F4A7C15) % WORD)
    return mix(hashed ^ len(raw))


def mix(z: int) -> int:
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ z >> 27) * 0x94D049BB133111EB % WORD
    return z ^ z >> 31


def estimate_of(registers: list[int], bits: int) -> int:
    m, most, counts = len(registers), 64 - bits + 1, Counter(registers)
    x = 1 - counts[most] / m
    tau, y = 1 - x, 1.0
    for _ in range(200 if 0 < x < 1 else 0):
        x, y = math.sqrt(x), y / 2
        tau -= (1 - x) ** 2 * y
    z = m * (tau / 3 if 0 < 1 - counts[most] / m < 1 else 0)
    for rank in range(most - 1, 0, -1):
        z = (z + counts[rank]) / 2
    x = counts[0] / m
    if x == 1:
        return 0
    sigma, y = x, 1.0
    while x > 0:
        x *= x
        sigma, y = sigma + x * y, y * 2
    return round(m * m / (2 * math.log(2) * (z + m * sigma)))


def percentile_of(values: list, percent: int) -> float:
    """The number of the UDDSketch bucket in which the value of that rank is."""
    level, counts = buckets_of(values)
    rank = (len(values) - 1) * percent // 100
    for bucket in sorted(counts):
        if rank < counts[bucket]:
            return value_of_bucket(bucket, level)
        rank -= counts[bucket]
    raise AssertionError(values)


def buckets_of(values: list, most: int = 256) -> tuple[int, dict[int, int]]:
    """Buckets 2^level of the finest wide, for the least level at which there are not too many."""
    level = 0
    while True:
        counts = Counter(bucket_of(value, level) for value in values)
        if len(counts) <= most:
            return level, counts
        level += 1


def bucket_of(value: float, level: int) -> int:
    if math.isinf(value):
        magnitude = 2047 * 64
    else:
        mantissa, exponent = math.frexp(abs(float(value)))
        if value == 0 or exponent - 1 < -1022:
            return 0
        magnitude = (exponent - 1 + 1023) * 64 + math.floor((2 * mantissa - 1) * 64)
    magnitude = magnitude // 2**level * 2**level
    return magnitude if value > 0 else -magnitude


def value_of_bucket(bucket: int, level: int) -> float:
    low, high = end_of(abs(bucket)), end_of(abs(bucket) + 2**level)
    if low == 0 or math.isinf(low):
        return math.copysign(low, bucket or 1)
    ratio = float(low / high) if math.isfinite(high) else float(low / (Fraction(2) ** 1024))
    return math.copysign(float(low) * (2 / (1 + ratio)), bucket)


def end_of(magnitude: int) -> Fraction | float:
    if magnitude < 64:
        return Fraction(0)
    if magnitude >= 2047 * 64:
        return math.inf
    return (1 + Fraction(magnitude % 64, 64)) * Fraction(2) ** (magnitude // 64 - 1023)
