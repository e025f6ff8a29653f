"""The state of the epochs in the changelog: whatever it holds is taken over, or refused by name."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from headrace.learners.routing.epochs import EpochKeeper
from headrace.schemas.errors import StateError
from headrace.schemas.router_specs import PolicySpec
from tests.support.damage import damaged
from tests.support.fuzz import VALUES
from tests.support.golden.join_states import a_router, closing

ROUTER = a_router().model_copy(update={"policy": PolicySpec()})


def keeper() -> EpochKeeper:
    return EpochKeeper(ROUTER, "h", 2)


def a_state() -> str:
    """Two partitions: an epoch that is complete, one that the second partition holds back, one begun."""
    one = keeper()
    for partition, offset, ts_ms, label in ((0, 0, 1_000, 1.0), (0, 1, 1_600, 0.0), (1, 0, 1_100, 0.0)):
        one.take(partition, offset, closing(f"p{ts_ms}", ts_ms, label))
    one.mark(1, 1, 2_550)
    one.take(0, 2, closing("p2", 2_200, 1.0))
    return one.to_json()


STATE = a_state()


def changed(*path: Any, to: object) -> str:
    raw = json.loads(STATE)
    where = raw
    for name in path[:-1]:
        where = where[name]
    where[path[-1]] = to
    return json.dumps(raw)


def goes_on(one: EpochKeeper) -> None:
    """Take closings and marks in, and keep the state."""
    for partition in range(2):
        offset = one.offset(partition)
        one.take(partition, offset, closing("p9", 10**12, 1.0))
        one.mark(partition, offset + 1, 2 * 10**12)
    assert keeper().restore(one.to_json())


def test_a_state_that_was_written_is_taken_over() -> None:
    one = keeper()
    assert one.restore(STATE)
    goes_on(one)


@pytest.mark.parametrize(
    "state",
    [
        "",
        "null",
        "[]",
        "[" * 100_000,
        changed("partitions", to=7),
        changed("partitions", 0, "offset", to="7"),
        changed("partitions", 0, "offset", to=-1),
        changed("partitions", 0, "refresh", to=1e9),
        changed("partitions", 0, "refresh", to=10**400),
        changed("partitions", 0, "gathered", to={"a": [1.0]}),
        changed("partitions", 0, "closed", to=[[5, 2]]),
        changed("evidence", to={}),
        changed("evidence", "a", to=[float("nan"), 0.0, 0.0]),
        changed("evidence", "a", to=[-1.0, 0.0, 0.0]),
        changed("evidence", "b", to=["much", 0.0, 0.0]),
        changed("epoch", to={}),
        changed("epoch", "router", to="another"),
        changed("epoch", "epoch", to=-1),
        changed("epoch", "propensities", to={"a": 0.5, "b": 0.4}),
        changed("epoch", "propensities", to={"a": 1.0}),
        changed("era", to="x"),
        changed("rules", to=None),
    ],
)
def test_a_damaged_state_is_refused_by_name_with_the_remedy_and_nothing_is_taken_over(state: str) -> None:
    one = keeper()
    before = one.to_json()
    with pytest.raises(StateError, match=r"the state of the epochs of router 'offers' .*`headrace retrain`"):
        one.restore(state)
    assert one.to_json() == before


@pytest.mark.parametrize(("seed", "rounds"), [(1, 300), pytest.param(2, 20_000, marks=pytest.mark.faults)])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_whatever_is_in_the_changelog_a_trainer_goes_on_or_is_told_why_not(seed: int, rounds: int) -> None:
    chance = Random(seed)
    for raw in damaged(STATE.encode(), chance, rounds):
        restored_or_refused(raw.decode(errors="replace"))
    for _ in range(rounds):
        restored_or_refused(oddly_changed(chance))


def restored_or_refused(state: str) -> None:
    one = keeper()
    try:
        if one.restore(state):
            goes_on(one)
    except StateError:
        pass


def oddly_changed(chance: Random) -> str:
    """Put an odd value anywhere into the state."""
    raw = json.loads(STATE)
    where: Any = raw
    while True:
        name = chance.choice(list(where) if isinstance(where, dict) else range(len(where)))
        if not isinstance(where[name], dict | list) or not where[name] or chance.random() < 0.2:
            break
        where = where[name]
    where[name] = chance.choice(VALUES)
    return json.dumps(raw)
