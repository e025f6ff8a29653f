"""A ring of tiles against a list of events: what its windows hold, what leaves them, what is packed."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.avro import Column
from headrace.schemas.feature_specs import AggregationSpec
from headrace.streams.aggregations import aggregation_of
from headrace.streams.columnar.batch import Batch
from headrace.streams.state.tile_ring import Ring

HOP_MS, WINDOWS_MS = 10, (20, 50)
COUNT = aggregation_of(
    AggregationSpec(feature="n", function="count", column="x", window_ms=50, hop_ms=10, dtype="Int64")
)
(NAME,) = (spec.name for spec in COUNT.accumulators)
Event = tuple[int, int]  # slot, event time
few_or_many = pytest.mark.parametrize("slots", [3, 120])  # noted slot by slot, and by whole arrays


def ring_of(slots: int, hop_ms: int = HOP_MS, windows_ms: Iterable[int] = WINDOWS_MS) -> Ring:
    made = Ring(hop_ms, list(windows_ms), COUNT.accumulators, lambda _: np.int64)
    made.reserve(slots)
    return made


def add(ring: Ring, events: Iterable[Event], clock_ms: int) -> None:
    ordered = sorted(events)
    slots, times = np.array(ordered, np.int64).reshape(-1, 2).T
    order, ones = np.arange(len(ordered)), np.ones(len(ordered), np.int64)
    ring.add(slots, Batch(times, order, order, {"x": Column(ones, ones.astype(np.bool_))}), clock_ms)


def counts(ring: Ring, slots: int, clock_ms: int) -> dict[int, list[int]]:
    """How many events each window holds, slot by slot."""
    reading, _ = ring.read(np.arange(slots), clock_ms)
    return {window_ms: reading[NAME, window_ms].tolist() for window_ms in ring.windows_ms}


def counted(events: Iterable[Event], slots: int, clock_ms: int) -> dict[int, list[int]]:
    """The same of a list of events, by the rule."""
    found = {window_ms: [0] * slots for window_ms in WINDOWS_MS}
    for window_ms, of_slots in found.items():
        for slot, time_ms in events:
            of_slots[slot] += time_ms >= (clock_ms - window_ms) // HOP_MS * HOP_MS
    return found


@st.composite
def steps(draw: st.DrawFn, slots: int = 3) -> list[tuple[int, list[Event]]]:
    """Clocks that run on, each with events of up to then: some have left every window already."""
    clock_ms, found = draw(st.integers(-100, 100)), []
    for _ in range(draw(st.integers(1, 6))):
        clock_ms += draw(st.sampled_from([0, 1, 9, 10, 11, 60, 1000]))
        ages = st.integers(0, 90)
        events = draw(st.lists(st.tuples(st.integers(0, slots - 1), ages), max_size=8))
        found.append((clock_ms, [(slot, clock_ms - age_ms) for slot, age_ms in events]))
    return found


@given(steps())
def test_a_window_holds_the_events_of_its_tiles_whenever_they_came(found: list) -> None:
    ring, seen = ring_of(3), []
    for clock_ms, events in found:
        add(ring, events, clock_ms)
        seen += events
        assert counts(ring, 3, clock_ms) == counted(seen, 3, clock_ms)
        longest = counted(seen, 3, clock_ms)[WINDOWS_MS[-1]]
        assert ring.read(np.arange(3), clock_ms)[1].tolist() == [count > 0 for count in longest]


@given(steps())
def test_a_slot_is_told_once_for_each_tile_that_leaves_a_window(found: list) -> None:
    ring, tiles, before_ms = ring_of(3), set(), None
    for clock_ms, events in found:
        for window_ms in WINDOWS_MS if before_ms is not None else ():
            leaving = range((before_ms - window_ms) // HOP_MS, (clock_ms - window_ms) // HOP_MS)
            told = [slot for part in ring.expiring(window_ms, before_ms, clock_ms) for slot in part.tolist()]
            assert sorted(told) == sorted(slot for slot, tile in tiles if tile in leaving)
        ring.forget(clock_ms)
        add(ring, events, clock_ms)
        oldest = (clock_ms - WINDOWS_MS[-1]) // HOP_MS
        tiles |= {(slot, time_ms // HOP_MS) for slot, time_ms in events if time_ms // HOP_MS >= oldest}
        before_ms = clock_ms


@few_or_many
def test_many_slots_are_told_as_few_are(slots: int) -> None:
    ring = ring_of(slots)
    add(ring, [(slot, 10 * (slot % 4)) for slot in range(slots)], 39)
    (told,) = ring.expiring(50, 59, 69)
    assert sorted(told.tolist()) == [slot for slot in range(slots) if slot % 4 == 0]
    ring.reindex(np.arange(slots))  # as after a restore
    (again,) = ring.expiring(50, 59, 69)
    assert sorted(again.tolist()) == sorted(told.tolist())
    ring.forget(69)
    assert ring.expiring(50, 59, 69) == []


def packed(ring: Ring, slots: int, since_ms: int | None) -> tuple[np.ndarray, list[bytes]]:
    """How many tiles each slot has, and their bytes."""
    held = ring.held(np.arange(slots), since_ms)
    numbers = held.sum(axis=1)
    (parts,) = ring.pack(np.arange(slots), held, numbers)
    return numbers, parts


def unpack(ring: Ring, numbers: np.ndarray, parts: list[bytes]) -> np.ndarray:
    raw = np.frombuffer(b"".join(parts), np.uint8)
    starts = np.cumsum([0, *map(len, parts)])[:-1]
    return ring.unpack(np.arange(len(parts)), numbers, raw, starts)


@given(steps(), st.booleans())
def test_what_is_packed_reads_the_same_in_another_ring(found: list, alive_only: bool) -> None:
    ring, other = ring_of(3), ring_of(3)
    for clock_ms, events in found:
        add(ring, events, clock_ms)
    add(other, [(slot, clock_ms) for slot in range(3)], clock_ms)  # is replaced
    numbers, parts = packed(ring, 3, clock_ms if alive_only else None)
    ends = unpack(other, numbers, parts)
    assert ends.tolist() == np.cumsum([len(part) for part in parts]).tolist()
    assert counts(other, 3, clock_ms) == counts(ring, 3, clock_ms)


def test_tiles_that_have_left_every_window_are_not_held_since_then() -> None:
    ring = ring_of(1)
    add(ring, [(0, 0), (0, 30)], 30)
    assert packed(ring, 1, None)[0].tolist() == [2]
    assert packed(ring, 1, 60)[0].tolist() == [1]
    assert packed(ring, 1, 1000)[0].tolist() == [0]


@pytest.mark.parametrize(
    ("change", "says"),
    [(lambda n, p: (n + 99, p), "another number"), (lambda n, p: (n, [p[0][:-1]]), "ends before its tiles")],
)
def test_bytes_that_are_no_tiles_are_refused(change, says: str) -> None:
    ring = ring_of(1)
    add(ring, [(0, 0), (0, 30)], 30)
    with pytest.raises(ValueError, match=says):
        unpack(ring_of(1), *change(*packed(ring, 1, None)))


def test_a_slot_that_is_cleared_holds_nothing_and_its_neighbours_all_they_did() -> None:
    ring = ring_of(3)
    add(ring, [(slot, time_ms) for slot in range(3) for time_ms in (0, 30)], 30)
    ring.clear(np.array([1]))
    assert counts(ring, 3, 30) == {20: [1, 0, 1], 50: [2, 0, 2]}
    add(ring, [(1, 30)], 30)
    assert counts(ring, 3, 30) == {20: [1, 1, 1], 50: [2, 1, 2]}


def test_growing_keeps_what_is_there() -> None:
    ring = ring_of(1)
    add(ring, [(0, 0)], 0)
    ring.reserve(1000)
    assert counts(ring, 1000, 0)[50] == [1] + [0] * 999


def test_the_lifetime_holds_everything_and_nothing_leaves_it() -> None:
    ring = ring_of(2, hop_ms=0, windows_ms=[0])
    add(ring, [(0, -(10**12)), (0, 5), (1, 7)], 10)
    assert counts(ring, 2, 10**15) == {0: [2, 1]}
    assert ring.expiring(0, 10, 10**15) == []
