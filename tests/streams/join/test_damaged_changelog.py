"""A join's changelog with entries that it did not write: taken up, or refused by name."""

from __future__ import annotations

from random import Random

import pytest

from headrace.schemas.errors import StateError
from headrace.schemas.marks import Mark
from headrace.streams.join.changelog import read_changelog
from headrace.streams.join.partition_join import PartitionJoin
from tests.support.damage import damaged
from tests.support.join_builders import Records, a_prediction, a_router, an_outcome, checkpoint

KEYS = ("k", "l", "x")


def changelog() -> Records:
    join = PartitionJoin(a_router(100))
    for number, key in enumerate(KEYS):
        join.predict(a_prediction(f"p{number}", key, 5 + number), number)
        join.outcome(an_outcome(f"o{number}", key, 7 + number), number)
    join.mark("predictions", Mark(40, partition=0, partitions=2), 3)
    return checkpoint(join)


def go_on(join: PartitionJoin) -> None:
    """Closings, corrections and a checkpoint."""
    for number, key in enumerate(KEYS):
        join.predict(a_prediction(f"q{number}", key, 200), join.next_offsets["predictions"])
        join.outcome(an_outcome(f"r{number}", key, 201, 0.0), join.next_offsets["outcomes"])
    for source in ("predictions", "outcomes"):
        join.mark(source, Mark(1_000), join.next_offsets[source])
    join.take_released()
    checkpoint(join)


@pytest.mark.parametrize(("seed", "rounds"), [(1, 100), pytest.param(2, 5_000, marks=pytest.mark.faults)])
def test_whatever_is_in_a_changelog_the_join_goes_on_or_refuses_it_by_name(seed: int, rounds: int) -> None:
    chance, entries, refused = Random(seed), changelog(), []
    for at, (key, value) in enumerate(entries):
        assert value is not None
        for bad in damaged(value, chance, rounds):
            changed = [*entries[:at], (key, bad), *entries[at + 1 :]]
            try:
                go_on(PartitionJoin(a_router(100), read_changelog(changed)))
            except StateError as error:
                refused.append(str(error))
    assert len(refused) > rounds
    assert all(text.startswith("join changelog: ") for text in refused)
