"""Epochs follow from the closings alone: not from batching, restarts or the interleaving of partitions."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.learners.routing.epochs import EpochKeeper
from headrace.learners.routing.rewards import rewards
from headrace.schemas.plan import Plan
from headrace.schemas.records import Closing, Epoch
from tests.support.flight_learners import HOUR_MS, closings, flights
from tests.support.properties import tries

QUALITY = {"base": 0.55, "static": 0.6, "streaming": 0.8, "crossed": 0.62, "tree": 0.5}
Record = tuple[int, Closing | int]  # offset, closing or time of a mark


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return flights(tmp_path_factory.mktemp("project"))[0]


@pytest.fixture(scope="module")
def logs(plan: Plan) -> list[list[Record]]:
    """Two partitions of closings, with marks at their ends."""
    found: list[list[Record]] = [[], []]
    for number, closing in enumerate(closings(plan, 600, QUALITY)):
        log = found[number % 7 % 2]
        log.append((len(log), closing))
    end = 1_000_000 + 600 * 60_000 + plan.routers[0].wait_ms + HOUR_MS
    for log in found:
        log.append((len(log), end))
    return found


def take(keeper: EpochKeeper, partition: int, record: Record) -> list[Epoch]:
    offset, what = record
    if isinstance(what, Closing):
        return keeper.take(partition, offset, what)
    return keeper.mark(partition, offset, what)


def fold(plan: Plan, logs: list[list[Record]], order: random.Random, restart: float = 0.0) -> list[Epoch]:
    keeper = EpochKeeper(plan.routers[0], plan.hash, len(logs))
    epochs: list[Epoch] = []
    at = [0] * len(logs)
    while any(at[n] < len(logs[n]) for n in range(len(logs))):
        partition = order.choice([n for n in range(len(logs)) if at[n] < len(logs[n])])
        epochs += take(keeper, partition, logs[partition][at[partition]])
        at[partition] += 1
        if order.random() < restart:
            state = keeper.to_json()
            keeper = EpochKeeper(plan.routers[0], plan.hash, len(logs))
            assert keeper.restore(state)
            assert [keeper.offset(n) for n in range(len(logs))] == at
    return epochs


@tries(8)
@given(st.integers(0, 2**32))
def test_interleaving_and_restarts_change_nothing(plan: Plan, logs: list[list[Record]], seed: int) -> None:
    expected = fold(plan, logs, random.Random(0))
    assert fold(plan, logs, random.Random(seed), restart=0.02) == expected


def test_an_epoch_at_each_refresh_and_the_best_arm_gets_the_traffic(
    plan: Plan, logs: list[list[Record]]
) -> None:
    epochs = fold(plan, logs, random.Random(0))
    assert [epoch.epoch for epoch in epochs] == list(range(1, len(epochs) + 1))
    assert all(epoch.ts_ms % HOUR_MS == 0 for epoch in epochs)
    assert all(math.isclose(sum(epoch.propensities.values()), 1.0, abs_tol=1e-9) for epoch in epochs)
    assert epochs[-1].propensities["streaming"] > 0.85
    assert min(epochs[-1].propensities.values()) >= 0.02 - 1e-9


def test_the_offset_of_an_epoch_is_the_prefix_it_follows_from(plan: Plan) -> None:
    found = list(closings(plan, 130, QUALITY))
    keeper = EpochKeeper(plan.routers[0], plan.hash, 1)
    emitted = [(n, e) for n, closing in enumerate(found) for e in keeper.take(0, n, closing)]
    assert all(epoch.offset == offset for offset, epoch in emitted)
    assert len(emitted) == 2


def test_a_silent_partition_holds_the_others_back_until_its_mark(plan: Plan) -> None:
    keeper = EpochKeeper(plan.routers[0], plan.hash, 2)
    found = list(closings(plan, 130, QUALITY))
    assert not [e for n, closing in enumerate(found) for e in keeper.take(0, n, closing)]
    wait_ms = plan.routers[0].wait_ms
    assert len(keeper.mark(1, 0, found[-1].prediction.ts_ms + wait_ms)) == 2


def test_a_refresh_without_evidence_discounts_and_brings_no_epoch(plan: Plan) -> None:
    keeper = EpochKeeper(plan.routers[0], plan.hash, 1)
    first, second = list(closings(plan, 2, QUALITY))
    later = second.prediction.ts_ms + 10 * HOUR_MS
    second = second.model_copy(update={"prediction": second.prediction.model_copy(update={"ts_ms": later})})
    keeper.take(0, 0, first)
    assert len(keeper.take(0, 1, second)) == 1
    assert keeper.mark(0, 2, later + plan.routers[0].wait_ms + HOUR_MS)[0].epoch == 2
    earned = {arm: rewards(plan.routers[0], c)[arm] for c in (first,) for arm in QUALITY}
    alpha = keeper.current.posteriors["streaming"]["alpha"]
    latest = rewards(plan.routers[0], second)["streaming"]
    assert alpha == pytest.approx(1.0 + earned["streaming"] * 0.99**10 + latest)


def test_other_rules_begin_anew(plan: Plan) -> None:
    keeper = EpochKeeper(plan.routers[0], plan.hash, 1)
    other = plan.routers[0].model_copy(update={"refresh_ms": 5})
    assert not EpochKeeper(other, plan.hash, 1).restore(keeper.to_json())
    assert EpochKeeper(plan.routers[0], plan.hash, 1).restore(keeper.to_json())
