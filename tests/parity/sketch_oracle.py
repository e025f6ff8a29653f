"""The naive oracle of sketches: plain Python, value by value, sharing no code with the engine."""

from __future__ import annotations

import math
import struct
from collections import Counter

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
    """The number of the DDSketch bucket in which the value of that rank is."""
    counts = buckets_of(values)
    rank = (len(values) - 1) * percent // 100
    for bucket in sorted(counts):
        if rank < counts[bucket]:
            return value_of_bucket(bucket)
        rank -= counts[bucket]
    raise AssertionError(values)


def buckets_of(values: list, most: int = 256) -> dict[tuple[int, int, int], int]:
    counts = Counter(bucket_of(value) for value in values)
    for bucket in sorted(counts)[: max(0, len(counts) - most)]:
        count = counts.pop(bucket)
        counts[min(counts)] += count
    return counts


def bucket_of(value: float) -> tuple[int, int, int]:
    """Sign, exponent and part, so that the order of buckets is that of values."""
    if math.isinf(value):
        return (1, 1024, 0) if value > 0 else (-1, -1024, 0)
    mantissa, exponent = math.frexp(abs(float(value)))
    if value == 0 or exponent - 1 < -1022:
        return 0, 0, 0
    part = math.floor((2 * mantissa - 1) * 64)
    return (1, exponent - 1, part) if value > 0 else (-1, 1 - exponent, -part)


def value_of_bucket(bucket: tuple[int, int, int]) -> float:
    sign, exponent, part = bucket
    if sign == 0:
        return 0.0
    if abs(exponent) == 1024:
        return sign * math.inf
    exponent, part = sign * exponent, sign * part
    return sign * math.ldexp(1 + part / 64, exponent) * (1 + 1 / (129 + 2 * part))
