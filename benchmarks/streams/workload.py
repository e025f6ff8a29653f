"""The workload: a deterministic log of payments, its windows, and what every peer has to come to.

Six hours of event time, keys drawn evenly, event times up to five seconds out of order. At the end of every
partition one record of an account of its own, a minute past the last window, closes it: from then on the
value that Headrace keeps per key (see docs/semantics.md) is that of the last complete window, which is also
what the others emit for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.avro import ConfluentEncoder

Format = Literal["avro", "json"]
Window = Literal["tumbling", "sliding"]
Totals = dict[int, tuple[int, float]]  # account to count and sum of its amounts
Record = tuple[int, bytes, bytes]  # partition, key, value

PARTITIONS = 4
START_MS = 1_700_006_400_000  # a whole hour
SPAN_MS = 6 * 3_600_000
END_MS = START_MS + SPAN_MS
CLOSING_MS = END_MS + 60_000
DISORDER_MS = 5_000
ALLOWANCE_MS = 10_000  # the lateness every peer allows: more than the disorder, so that nothing is late
SCHEMA_ID = 1
SCHEMA = json.dumps(
    {
        "type": "record",
        "name": "Payment",
        "fields": [
            {"name": "account", "type": "long"},
            {"name": "event_ms", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "amount", "type": "double"},
            {"name": "shop", "type": "string"},
        ],
    }
)
WINDOWS: dict[Window, tuple[int, int]] = {  # length and hop, ms
    "tumbling": (300_000, 300_000),
    "sliding": (3_600_000, 300_000),
}


@dataclass(frozen=True)
class Payments:
    """Columns of `n` payments: int64 of shape (n,). `amount` is in hundredths."""

    account: NDArray[np.int64]
    event_ms: NDArray[np.int64]
    cents: NDArray[np.int64]

    def totals(self, first_ms: int, end_ms: int) -> Totals:
        """Count and sum per account over event times in ``[first_ms, end_ms)``; exact."""
        inside = (self.event_ms >= first_ms) & (self.event_ms < end_ms)
        account = self.account[inside]
        counts = np.bincount(account)
        sums = np.zeros(len(counts), np.int64)
        np.add.at(sums, account, self.cents[inside])
        found = np.flatnonzero(counts).tolist()
        return {key: (int(counts[key]), int(sums[key]) / 100) for key in found}


@dataclass(frozen=True)
class Workload:
    """One log: `events` payments of `keys` accounts in one format."""

    events: int
    keys: int
    format: Format

    @property
    def topic(self) -> str:
        return f"payments-{self.events}-{self.keys}-{self.format}"

    @property
    def records(self) -> int:
        """Records of the log: the payments and one closing record per partition."""
        return self.events + PARTITIONS

    @cached_property
    def payments(self) -> Payments:
        dice = np.random.default_rng(7)
        steady = START_MS + np.arange(self.events, dtype=np.int64) * SPAN_MS // self.events
        late = dice.integers(0, DISORDER_MS, self.events)
        account = dice.integers(0, self.keys, self.events)
        return Payments(
            account, np.maximum(steady - late, START_MS), dice.integers(-5000, 20_000, self.events)
        )

    def expected(self, window: Window) -> Totals:
        """The last complete window of every account that has one."""
        return self.payments.totals(END_MS - WINDOWS[window][0], END_MS)

    def log(self) -> Iterator[Record]:
        """The records in the order they are produced."""
        encode = Encoder(self.format)
        columns = (self.payments.account, self.payments.event_ms, self.payments.cents)
        for account, event_ms, cents in zip(*(column.tolist() for column in columns), strict=True):
            yield account % PARTITIONS, b"%d" % account, encode(account, event_ms, cents)
        for partition in range(PARTITIONS):
            account = -1 - partition
            yield partition, b"%d" % account, encode(account, CLOSING_MS, 0)


class Encoder:
    """Payments to message values."""

    def __init__(self, kind: Format) -> None:
        self._avro = ConfluentEncoder(SCHEMA, SCHEMA_ID) if kind == "avro" else None

    def __call__(self, account: int, event_ms: int, cents: int) -> bytes:
        payment = {
            "account": account,
            "event_ms": event_ms,
            "amount": cents / 100,
            "shop": f"shop-{cents % 97}",
        }
        return self._avro.encode(payment) if self._avro else json.dumps(payment).encode()
