"""What sketches cost per key and per record, by how many different values a key has: state alone, no servers.

`python -m benchmarks.streams.sketches [FUNCTION...]`
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.avro import Column
from headrace.schemas.feature_specs import AggregationSpec, FieldSpec, StreamViewSpec
from headrace.streams.columnar.batch import Batch
from headrace.streams.state.view_group import ViewGroup

WINDOW_MS, HOP_MS = 3_600_000, 300_000
RANGE, ROUNDS = 4_000, 12
FILLING = 100_000  # records at once
CASES = [(10_000, 1), (10_000, 10), (10_000, 100), (1_000, 10_000)]  # keys, different values of each
_FACTOR, _PRIME = 2_654_435_761, 1_000_003


@dataclass(frozen=True)
class Cost:
    """Bytes of memory and of changelog per key, and CPU microseconds per record: the least of the rounds."""

    memory: float
    changelog: float
    cpu_us: float


class Purchases:
    """Records of random keys, each with so many different values, and a view of them."""

    def __init__(self, function: str, keys: int, distinct: int) -> None:
        self.keys, self._distinct = keys, distinct
        self._random, self._next = np.random.default_rng(1), 0
        spec = AggregationSpec(
            feature=function,
            function=function,
            column="x",
            window_ms=WINDOW_MS,
            hop_ms=HOP_MS,
            dtype="Int64" if function.startswith("count") else "Float64",
        )
        key = FieldSpec(name="key", dtype="Int64")
        view = StreamViewSpec(name="v", source="s", join_keys=(key,), aggregations=(spec,))
        self.state = ViewGroup([view], lambda name: np.int64 if name == "key" else np.float64)

    def batch(self, event_ms: NDArray[np.int64]) -> Batch:
        """A record at each of these times."""
        count = len(event_ms)
        key = self._random.integers(0, self.keys, count)
        number = self._random.integers(0, self._distinct, count) * _FACTOR + key * 40_503
        value = np.exp(number % _PRIME / _PRIME * 4)
        known = np.ones(count, np.bool_)
        offset = np.arange(self._next, self._next + count)
        self._next += count
        return Batch(event_ms, offset, offset, {"key": Column(key, known), "x": Column(value, known)})

    def apply(self, batch: Batch) -> None:
        self.state.advance(int(batch.event_ms[-1]))
        self.state.add(batch)
        self.state.emit(0, self._next)


def cost_of(function: str, keys: int, distinct: int) -> Cost:
    """Fill a window evenly, then measure ranges at its end."""
    purchases = Purchases(function, keys, distinct)
    total = keys * max(distinct, WINDOW_MS // HOP_MS + 1)
    for start in range(0, total, FILLING):
        numbers = np.arange(start, min(start + FILLING, total))
        purchases.apply(purchases.batch(numbers * WINDOW_MS // total))
    cpu_s = []
    for number in range(ROUNDS):
        batch = purchases.batch(np.full(RANGE, WINDOW_MS + number))
        began = time.process_time()
        purchases.apply(batch)
        cpu_s.append(time.process_time() - began)
    memory = sum(rows.nbytes for ring in purchases.state.rings for rows in ring.ragged())
    states = [len(state) for _, state in purchases.state.snapshot()]
    return Cost(memory / keys, sum(states) / len(states), min(cpu_s) / RANGE * 1e6)


def main() -> None:
    for function in sys.argv[1:] or ["count", "count_distinct", "p50"]:
        for keys, distinct in CASES:
            cost = cost_of(function, keys, distinct)
            print(
                f"{function:14s} {keys:6,} keys with {distinct:6,} values: {cost.memory:8,.0f} B/key held, "
                f"{cost.changelog:8,.0f} B/key in the changelog, {cost.cpu_us:6.2f} us/record",
                flush=True,
            )


if __name__ == "__main__":
    main()
