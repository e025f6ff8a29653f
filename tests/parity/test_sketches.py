"""The state of sketches against the naive oracle's: of every tile, and merged, sparse and full."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.avro import Column
from headrace.streams.aggregations.accumulator import AccumulatorSpec
from headrace.streams.aggregations.distinct import Precision, Registers
from headrace.streams.aggregations.percentile import Buckets
from headrace.streams.columnar.batch import Batch
from headrace.streams.columnar.ragged_rows import RaggedRows
from tests.support.sketch_oracle import buckets_of, registers_of

KEYS, DEPTH = 3, 4
PLACES = KEYS * DEPTH
numbers = st.floats(-1e9, 1e9) | st.integers(-20, 20).map(float) | st.floats(allow_nan=False)
# few values of a tile, and so many that it is full, in any order and any batches
runs = st.lists(
    st.tuples(st.integers(0, PLACES - 1), st.lists(numbers | st.none(), max_size=12)), max_size=12
)
floods = st.lists(
    st.tuples(st.integers(0, PLACES - 1), st.integers(0, 2**32 - 1), st.sampled_from([5, 60, 400])),
    max_size=3,
)


def batches_of(runs: list, floods: list) -> list[list[tuple[int, float | None]]]:
    batches = [[(place, value) for value in values] for place, values in runs]
    for place, seed, count in floods:
        values = np.random.default_rng(seed).lognormal(0, 9, count).tolist()
        batches.append([(place if n % 5 else (place + 1) % PLACES, value) for n, value in enumerate(values)])
    return [batch for batch in batches if batch]


def add(sketch: Registers | Buckets, batch: list[tuple[int, float | None]]) -> None:
    batch = sorted(batch, key=lambda row: row[0])
    where = np.array([place for place, _ in batch])
    places, starts = np.unique(where, return_index=True)
    known = np.array([value is not None for _, value in batch])
    cells = np.array([value if value is not None else 7.0 for _, value in batch])
    zeros = np.zeros(len(batch), np.int64)
    sketch.add(places, starts, Batch(zeros, zeros, zeros, {"x": Column(cells, known)}))


def contents(batches: list) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {place: [] for place in range(PLACES)}
    for batch in batches:
        for place, value in batch:
            if value is not None:
                found[place].append(value)
    return found


def row_at(rows: RaggedRows, place: int) -> list[int]:
    return rows.gather(np.array([place]))[1].tolist()


def windows(data: st.DataObject) -> np.ndarray:
    """Two windows of every key: which of its tiles are inside."""
    inside = st.lists(st.booleans(), min_size=KEYS * 2 * DEPTH, max_size=KEYS * 2 * DEPTH)
    return np.array(data.draw(inside), np.bool_).reshape(KEYS, 2, DEPTH)


@given(runs=runs, floods=floods, bits=st.sampled_from([6, 8, 10]), data=st.data())
def test_registers_are_those_of_the_oracle(runs, floods, bits, data):
    batches = batches_of(runs, floods)
    sketch = Registers([AccumulatorSpec(Registers, "x", Precision(bits))], np.float64)
    sketch.reserve(KEYS, DEPTH)
    for batch in data.draw(st.permutations(batches)):
        add(sketch, batch)
    held, (rows,) = contents(batches), sketch.rows
    for place, values in held.items():
        want, row = registers_of(values, bits), row_at(rows, place)
        if sum(map(bool, want)) > 2**bits // 8:
            assert np.array(row, np.uint32).view(np.uint8).tolist() == want
        else:
            assert row == [register << 6 | rank for register, rank in enumerate(want) if rank]
    inside = windows(data)
    (counts,) = sketch.read(np.arange(KEYS), inside)
    for key in range(KEYS):
        for window in range(2):
            tiles = [key * DEPTH + tile for tile in range(DEPTH) if inside[key, window, tile]]
            want = Counter(registers_of([value for tile in tiles for value in held[tile]], bits))
            assert counts[key, window].tolist() == [want[rank] for rank in range(64)]


@given(runs=runs, floods=floods, data=st.data())
def test_buckets_are_those_of_the_oracle(runs, floods, data):
    batches, sketch = batches_of(runs, floods), Buckets([AccumulatorSpec(Buckets, "x")], np.float64)
    sketch.reserve(KEYS, DEPTH)
    for batch in data.draw(st.permutations(batches)):
        add(sketch, batch)
    held, (rows,) = contents(batches), sketch.rows
    for place, values in held.items():
        assert apart(row_at(rows, place)) == told(values)
    inside = windows(data)
    (merged,) = sketch.read(np.arange(KEYS), inside)
    for key in range(KEYS):
        for window in range(2):
            tiles = [key * DEPTH + tile for tile in range(DEPTH) if inside[key, window, tile]]
            entries = [entry for entry in merged[key, window].tolist() if entry]
            assert apart(entries) == told([value for tile in tiles for value in held[tile]])


def apart(entries: list[int]) -> list[tuple[int, int, int]]:
    """Bucket, level and count of every entry."""
    return [(entry >> 40, entry >> 36 & 15, entry & (1 << 36) - 1) for entry in entries]


def told(values: list[float]) -> list[tuple[int, int, int]]:
    if not values:
        return []
    level, counts = buckets_of(values)
    return [(bucket, level, counts[bucket]) for bucket in sorted(counts, reverse=True)]
