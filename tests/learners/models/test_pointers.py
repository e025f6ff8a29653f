"""Pointers and epochs in Redis: what the trainer writes is what the router reads."""

from __future__ import annotations

import threading
from pathlib import Path
from random import Random

import pytest
import redis

from headrace.learners.models.pointers import ModelPointer, ModelPointers, epochs_key, models_key
from headrace.schemas.plan import Plan
from headrace.schemas.records import Epoch
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.progress import EPOCHS, ProgressStore, progress_field, progress_key
from tests.support.damage import damaged
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
        (ModelPointer("2.9", 40, era=2), ModelPointer("1.3", 30, era=3)),
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


def test_what_a_newer_headrace_wrote_is_a_fault_of_its_own(
    client: redis.Redis, plan: Plan, router: RouterSpec
) -> None:
    pointers = ModelPointers(client, plan.project)
    pointers.point("examples", {"base": ModelPointer("1.3", 40)})
    client.hset(models_key(plan.project), "tree", '{"v": 99, "version": "1.0", "offset": 3}')
    client.hset(epochs_key(plan.project), router.name, '{"v": 99, "epoch": "{}"}')
    in_force = pointers.read(router)
    assert in_force.pointers == pointers.serving() == {"base": ModelPointer("1.3", 40)}
    assert in_force.epoch is None
    for fault in (in_force.faults["tree"], in_force.epoch_fault):
        assert "has version 99, this Headrace reads" in str(fault)
        assert "run this process with that version, or the trainer with this one" in str(fault)


def test_with_a_key_only_what_it_has_signed_for_that_learner_and_router_is_used(
    client: redis.Redis, plan: Plan, router: RouterSpec
) -> None:
    closings = plan.topics.router(router.name).closings
    signing = ModelPointers(client, plan.project, "log", key=b"k" * 32)
    signing.point("examples", {"tree": ModelPointer("1.3", 40), "base": ModelPointer("2.0", 40)})
    signing.put_in_force(an_epoch(router, 3), closings, {0: 7})
    assert signing.read(router).faults == {}
    assert signing.read(router).epoch == an_epoch(router, 3)

    key, other = models_key(plan.project), ModelPointers(client, plan.project, "log", key=b"o" * 32)
    assert other.read(router).faults.keys() == {"tree", "base"}
    assert "not signed with the key of this process" in str(other.read(router).epoch_fault)
    tree = client.hget(key, "tree")
    assert isinstance(tree, bytes)
    client.hset(key, "base", tree)  # another learner's
    assert signing.read(router).pointers == {"tree": ModelPointer("1.3", 40)}
    client.hset(key, "tree", tree.replace(b"1.3", b"1.9"))
    ModelPointers(client, plan.project, "log").put_in_force(an_epoch(router, 4), closings, {0: 7})
    in_force = signing.read(router)
    assert in_force.faults.keys() == {"tree", "base"}
    assert (in_force.epoch, in_force.closings[0]) == (None, 7)


def test_no_entry_that_is_damaged_is_more_than_a_fault_of_its_own(
    client: redis.Redis, plan: Plan, router: RouterSpec
) -> None:
    closings = plan.topics.router(router.name).closings
    for key in (None, b"k" * 32):
        pointers = ModelPointers(client, plan.project, "log", key=key)
        pointers.point("examples", {"tree": ModelPointer("1.3", 40), "base": ModelPointer("2.0", 40)})
        pointers.put_in_force(an_epoch(router, 3), closings, {0: 7})
        entries = [
            client.hget(models_key(plan.project), "tree"),
            client.hget(epochs_key(plan.project), router.name),
        ]
        progress = progress_field("train", closings, 0, EPOCHS)
        random = Random(12)
        for entry in entries:
            assert isinstance(entry, bytes)
            for text in damaged(entry, random, 150):
                client.hset(models_key(plan.project), "tree", text)
                client.hset(epochs_key(plan.project), router.name, text)
                client.hset(progress_key(plan.project), progress, text)
                in_force = pointers.read(router)
                assert in_force.pointers["base"] == ModelPointer("2.0", 40)
                assert ("tree" in in_force.pointers) != ("tree" in in_force.faults)
                assert (in_force.epoch is None) == (in_force.epoch_fault is not None)
                for fault in (*in_force.faults.values(), in_force.epoch_fault or ""):
                    assert not fault or "run " in fault
