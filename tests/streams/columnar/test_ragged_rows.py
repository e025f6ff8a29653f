"""Rows of varying length: what is put there is there whatever else moves, and nothing is held for nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.errors import StateError
from headrace.streams.columnar.ragged_rows import RaggedRows, spans
from tests.support.aggregation_states import REALS, batch_of, state_of

MOST, DEPTH = 16, 3
contents = st.dictionaries(st.integers(0, 11), st.lists(st.integers(0, 2**32 - 1), max_size=MOST), min_size=1)


def put(rows: RaggedRows, wanted: dict[int, list[int]]) -> None:
    places, size = np.array([*wanted], np.int64), np.array([len(row) for row in wanted.values()], np.int64)
    rows.replace(places, size, np.array([one for row in wanted.values() for one in row], np.uint32))


def held(rows: RaggedRows) -> list[list[int]]:
    size, entries = rows.gather(np.arange(len(rows.lengths)))
    return [part.tolist() for part in np.split(entries, np.cumsum(size)[:-1])]


@given(steps=st.lists(contents, max_size=12), cleared=st.lists(st.integers(0, 11)))
def test_rows_are_what_was_put_there_last_also_after_a_restore(steps, cleared):
    rows, model = RaggedRows(np.uint32, MOST), {place: [] for place in range(12)}
    rows.reserve(6)
    rows.reserve(12)
    for step in steps:
        put(rows, step)
        model |= step
    rows.clear(np.array(cleared, np.int64))
    model |= {place: [] for place in cleared}
    assert held(rows) == [model[place] for place in range(12)]
    restored = RaggedRows(np.uint32, MOST)
    restored.reserve(12)
    places, counts = np.arange(12), np.full(12 // DEPTH, DEPTH)
    packed = rows.pack(places, counts)
    ends = np.cumsum([len(raw) for raw in packed])
    raw = np.frombuffer(b"".join(packed), np.uint8)
    assert (restored.unpack(places, counts, raw, np.concatenate(([0], ends[:-1]))) == ends).all()
    assert held(restored) == held(rows)
    assert restored.pack(places, counts) == packed


def test_memory_is_that_of_what_is_held_and_given_back():
    rows = RaggedRows(np.uint32, MOST)
    rows.reserve(10_000)
    empty = rows.nbytes
    assert empty == 10_000 * 6
    for length in (1, 5, 9, 16):
        put(rows, {place: [7] * length for place in range(1000)})
        assert rows.nbytes <= empty + 1000 * 4 * (1.5 * length * 1.25 + 1) + 4096
    rows.clear(np.arange(10_000))
    assert rows.nbytes == empty


def test_spans_are_ranges_one_behind_the_other():
    assert spans(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]


@pytest.mark.parametrize("function", ["count_distinct", "p50"])
def test_sketches_of_many_keys_cost_little_while_they_hold_little(function):
    state = state_of(function, REALS, precision=10)
    state.advance(0)
    state.add(batch_of([(0, n, float(n)) for n in range(5)], REALS))
    ((_, raw),) = state.snapshot()
    assert len(raw) < 700, "dense it was more than 10,000 bytes"


@pytest.mark.parametrize("function", ["count_distinct", "p50", "sum"])
@pytest.mark.parametrize("damage", ["shorter", "longer", "empty", "lengths"])
def test_a_changelog_that_is_damaged_is_refused(function, damage):
    state, restored = state_of(function, REALS), state_of(function, REALS)
    state.advance(0)
    state.add(batch_of([(0, n, float(n)) for n in range(5)], REALS))
    ((key, raw),) = state.snapshot()
    raw = {
        "shorter": raw[:-3], "longer": raw + b"123", "empty": b"",
        "lengths": raw[: len(raw) // 2] + b"\xff" * (len(raw) - len(raw) // 2),
    }[damage]  # fmt: skip
    if (function, damage) == ("sum", "lengths"):
        return  # it has none: any bytes of that number are a state
    with pytest.raises(StateError, match="does not fit their definition"):
        restored.load({key: raw})
