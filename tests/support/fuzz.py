"""Records that nobody should send, from a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, Message

from headrace.streams.log.records import LogRecords

NOW_MS = 1_700_000_000_000
NUMBERS: Sequence[Any] = (
    *(
        0,
        -1,
        1,
        7.0,
        -0.0,
        0.1,
        2**31,
        2**53 + 1,
        2**63 - 1,
        2**63,
        -(2**63),
        10**18,
        10**40,
        10**300,
        10**400,
    ),
    *(1e155, 1e200, 1e308, -1e308, 5e-324, float("inf"), float("-inf"), float("nan")),
    *(NOW_MS, NOW_MS + 55 * 60_000, NOW_MS * 1000, NOW_MS // 1000, 4_102_444_800_000),
)
VALUES: Sequence[Any] = (
    *NUMBERS, *("", "a\x00", "a" * 20_000, "\u202e", "größe", "7", "7.0"), *(None, True, False),
    *([], {}, [[[[]]]], {"a": {"b": 1}}),
)  # fmt: skip
TIMES: Sequence[int] = (-1, -2, 0, 1, 2**63 - 1, -(2**63), NOW_MS, NOW_MS + 55 * 60_000, 10**15)
MARKS: Sequence[bytes | None] = (
    *(b"9" * 20, b"9" * 5000, b"-" + b"9" * 15, b"9223372036854775807", b"-2", b"", b" 7 ", b"1_0", b"1e5"),
    *(b"\xff", None, b"%d" % NOW_MS, b"%d" % (NOW_MS + 10), b"%d" % (NOW_MS + 3_300_000)),
)
PLACES: Sequence[bytes | None] = (b"0/2", b"1/2", b"5/2", b"-1/2", b"0/0", b"0/99999999999", b"x", b"", None)


class Fuzz:
    """Makes records of some that are good."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def bytes_of(self, good: bytes) -> bytes | None:
        """Damage the bytes of a record, or leave them."""
        how = self.chance.randrange(8)
        if how == 0:
            return None
        if how == 1:
            return self.chance.randbytes(self.chance.randrange(40))
        if how == 2:
            return good[: self.chance.randrange(len(good) + 1)]
        if how == 3:
            cut = self.chance.randrange(len(good) + 1)
            return good[:cut] + self.chance.randbytes(3) + good[cut:]
        if how == 4:
            damaged = bytearray(good)
            for _ in range(self.chance.randrange(1, 4)):
                damaged[self.chance.randrange(len(damaged))] ^= 1 << self.chance.randrange(8)
            return bytes(damaged)
        return good

    def json_of(self, good: bytes) -> bytes | None:
        """Put an odd value into an object of JSON, or damage its bytes, or leave it."""
        if self.chance.random() < 0.5:
            return self.bytes_of(good)
        raw = json.loads(good)
        where = raw
        while True:
            name = self.chance.choice(list(where))
            if not isinstance(where[name], dict) or not where[name] or self.chance.random() < 0.2:
                break
            where = where[name]
        if self.chance.random() < 0.1:
            where["another"] = 1
        where[name] = self.chance.choice(VALUES)
        return json.dumps(raw).encode()

    def headers(self) -> list[tuple[str, bytes | None]]:
        """Headers of a mark, which may be none."""
        headers: list[tuple[str, bytes | None]] = []
        if self.chance.random() < 0.8:
            headers.append(("headrace.time_ms", self.chance.choice(MARKS)))
        if self.chance.random() < 0.4:
            headers.append(("headrace.partition", self.chance.choice(PLACES)))
        if self.chance.random() < 0.2:
            headers.append((self.chance.choice(["", "x" * 500, "größe\x00"]), self.chance.randbytes(5)))
        return headers

    def message(self, offset: int, value: bytes | None, by_broker: bool) -> Message:
        """A record with this value, an odd key, time and headers, as the client gives it."""
        at_ms = NOW_MS if by_broker or self.chance.random() < 0.7 else self.chance.choice(TIMES)
        kind = TIMESTAMP_LOG_APPEND_TIME if by_broker else TIMESTAMP_CREATE_TIME
        key = self.chance.choice([None, b"", b"key", self.chance.randbytes(9)])
        return Message(
            topic="t",
            partition=0,
            offset=offset,
            key=key,
            value=value,
            headers=self.headers(),
            timestamp=(kind, at_ms),
        )

    def ranges(
        self, count: int, make: Callable[[int], bytes | None], by_broker: bool = False
    ) -> Iterator[LogRecords]:
        """Ranges of so many records in all, with the values that `make` gives by their number.

        Their times are odd, or those of the broker, as in Headrace's own topics.
        """
        first = 0
        while first < count:
            size = min(self.chance.choice([1, 3, 40]), count - first)
            numbers = range(first, first + size)
            yield LogRecords.of_messages([self.message(n, make(n), by_broker) for n in numbers])
            first += size
