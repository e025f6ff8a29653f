"""The memory of example ids: bounded, and the same after a restart."""

from __future__ import annotations

from headrace.learners.training.seen_ids import CAPACITY, SeenIds


def test_the_memory_of_ids_is_bounded_and_survives_a_restart() -> None:
    seen = SeenIds()
    assert all(seen.add(str(n)) for n in range(CAPACITY + 1))
    seen = SeenIds(seen.to_bytes())
    assert not seen.add(str(CAPACITY))
    assert not seen.add("1")
    assert seen.add("0")


def test_an_id_is_new_once() -> None:
    seen = SeenIds()
    assert [seen.add(name) for name in ("a", "b", "a", "c", "b")] == [True, True, False, True, False]
    assert len(seen.to_bytes()) == 3 * 8


def test_the_oldest_are_forgotten_first() -> None:
    seen = SeenIds()
    for number in range(CAPACITY + 3):
        seen.add(str(number))
    assert [seen.add(str(number)) for number in (3, CAPACITY + 2)] == [False, False]
    assert seen.add("2")
    assert len(seen.to_bytes()) == CAPACITY * 8
