"""Pointers and epochs in Redis: what the trainer writes is what the router reads."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import redis

from headrace.learners.models.pointers import ModelPointer, ModelPointers, epochs_key, models_key
from headrace.schemas.errors import StateError
from headrace.schemas.plan import Plan
from headrace.schemas.records import Epoch
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.progress import EPOCHS, ProgressStore
from tests.support.flight_learners import flights
from tests.support.waiting import PATIENCE_S


@pytest.fixture
def plan(tmp_path: Path, project: str) -> Plan:
    return flights(tmp_path, project)[0]


@pytest.fixture
def router(plan: Plan) -> RouterSpec:
    return plan.routers[0]


@pytest.fixture
def client(redis_url: str) -> redis.Redis:
    return redis.Redis.from_url(redis_url)


def an_epoch(router: RouterSpec, number: int) -> Epoch:
    vector = dict.fromkeys(router.arms, 1 / len(router.arms))
    return Epoch(
        router=router.name, epoch=number, ts_ms=5, offset=9, propensities=vector, posteriors={}, plan_hash="h"
    )


def test_before_anything_is_written_nothing_is_in_force(
    client: redis.Redis, plan: Plan, router: RouterSpec
) -> None:
    in_force = ModelPointers(client, plan.project).read(router)
    assert (in_force.pointers, in_force.epoch, in_force.closings) == ({}, None, [0, 0])


def test_versions_and_the_epoch_are_read_together_with_the_prefix_of_the_closings(
    client: redis.Redis, plan: Plan, router: RouterSpec
) -> None:
    pointers, closings = ModelPointers(client, plan.project), plan.topics.router(router.name).closings
    pointers.point("examples", {"tree": ModelPointer("1.3", 40), "base": ModelPointer("2.0", 40)})
    pointers.point("examples", {"tree": ModelPointer("1.4", 50)})
    pointers.put_in_force(an_epoch(router, 3), closings, {0: 7, 1: 8})
    in_force = pointers.read(router)
    assert in_force.pointers == {"tree": ModelPointer("1.4", 50), "base": ModelPointer("2.0", 40)}
    assert in_force.pointers == pointers.serving()
    assert (in_force.epoch, in_force.closings) == (an_epoch(router, 3), [7, 8])


def test_every_write_is_progress_of_the_trainer(client: redis.Redis, plan: Plan, router: RouterSpec) -> None:
    pointers, closings = ModelPointers(client, plan.project), plan.topics.router(router.name).closings
    pointers.point("examples", {"tree": ModelPointer("1.4", 50)})
    pointers.put_in_force(an_epoch(router, 3), closings, {1: 8})
    progress = ProgressStore(client, plan).read()
    assert {where: seen.next_offset for where, seen in progress.items()} == {
        ("train", "examples", 0, "tree"): 50,
        ("train", closings, 1, EPOCHS): 8,
    }


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (ModelPointer("1.9", 40), ModelPointer("1.10", 40)),
        (ModelPointer("1.9", 40), ModelPointer("1.9", 41)),
        (ModelPointer("1.9", 40), ModelPointer("2.0", 0)),
    ],
)
def test_a_pointer_only_advances(
    client: redis.Redis, plan: Plan, earlier: ModelPointer, later: ModelPointer
) -> None:
    pointers = ModelPointers(client, plan.project, "log")
    for pointer in (earlier, later, earlier):
        pointers.point("examples", {"tree": pointer})
    assert pointers.serving() == {"tree": later}
    progress = ProgressStore(client, plan).read()
    assert progress["train", "examples", 0, "tree"].next_offset == later.offset


def test_an_epoch_only_advances_and_new_rules_begin_another_era(
    client: redis.Redis, plan: Plan, router: RouterSpec
) -> None:
    pointers, closings = ModelPointers(client, plan.project, "log"), plan.topics.router(router.name).closings
    for era, number, offset in ((0, 3, 7), (0, 2, 5), (1, 1, 2), (0, 4, 9)):
        pointers.put_in_force(an_epoch(router, number), closings, {0: offset}, era)
    in_force = pointers.read(router)
    assert (in_force.epoch, in_force.closings) == (an_epoch(router, 1), [2, 0])


def test_what_is_of_another_log_gives_way(client: redis.Redis, plan: Plan, router: RouterSpec) -> None:
    closings = plan.topics.router(router.name).closings
    for state, version, number in (("before", "1.9", 4), ("made anew", "1.0", 1)):
        pointers = ModelPointers(client, plan.project, state)
        pointers.point("examples", {"tree": ModelPointer(version, 7)})
        pointers.put_in_force(an_epoch(router, number), closings, {0: 7})
    assert pointers.serving() == {"tree": ModelPointer("1.0", 7)}
    assert pointers.read(router).epoch == an_epoch(router, 1)


def test_a_subscription_wakes_up_at_a_write(client: redis.Redis, plan: Plan) -> None:
    pointers = ModelPointers(client, plan.project)
    subscription = pointers.subscribe()
    subscription.wait(0.0)
    woken = threading.Event()

    def wait_for_a_write() -> None:
        subscription.wait(10 * PATIENCE_S)
        woken.set()

    threading.Thread(target=wait_for_a_write, daemon=True).start()
    pointers.point("examples", {"tree": ModelPointer("1.0", 1)})
    assert woken.wait(PATIENCE_S)
    subscription.close()


def test_what_a_newer_headrace_wrote_is_refused(client: redis.Redis, plan: Plan, router: RouterSpec) -> None:
    pointers = ModelPointers(client, plan.project)
    client.hset(models_key(plan.project), "tree", '{"v": 99, "version": "1.0", "offset": 3}')
    with pytest.raises(StateError, match=r"pointer to model version 1\.0"):
        pointers.read(router)
    client.delete(models_key(plan.project))
    client.hset(epochs_key(plan.project), router.name, '{"router": "delays", "season": 4}')
    with pytest.raises(StateError, match="the epoch in Redis cannot be read"):
        pointers.read(router)
