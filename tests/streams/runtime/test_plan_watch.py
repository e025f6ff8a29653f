"""A process follows the plan in force: it says which plan it has, and ends in order once that is replaced."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from headrace.featurestore.plans.store import PlanStore, plan_key
from headrace.schemas.plan import Plan
from headrace.streams.connections.redis import redis_client
from headrace.streams.progress import ProcessRegistry, processes_key
from headrace.streams.runtime.plan_watch import PlanWatch, terminate
from tests.support.purchases import purchases_plan
from tests.support.waiting import eventually


class Ends:
    """Counts how often a process was told to end, and can refuse."""

    def __init__(self) -> None:
        self.told, self.can = 0, True

    def __call__(self) -> bool:
        self.told += 1
        return self.can


class Scene:
    def __init__(self, url: str, project: str) -> None:
        self.url, self.redis = url, redis.Redis.from_url(url)
        self.old, self.new = (purchases_plan(project, late_tiles=n, max_future_ms=1000) for n in (1, 2))
        self.plans, self.registry = PlanStore(self.redis, project), ProcessRegistry(self.redis, project)
        self.plans.save(self.old)
        self.ends = Ends()

    def watch(self, plan: Plan, url: str = "", **more: Any) -> PlanWatch:
        client = redis_client(url or self.url, 5.0, 0)
        plans, registry = PlanStore(client, plan.project), ProcessRegistry(client, plan.project)
        watch = PlanWatch("worker", plan.hash, plans, registry, **more)
        watch._end = self.ends
        return watch


@pytest.fixture
def scene(redis_url: str, project: str) -> Iterator[Scene]:
    made = Scene(redis_url, project)
    yield made
    made.redis.close()


def test_a_process_says_that_it_is_there_and_by_which_plan(scene: Scene) -> None:
    watch = scene.watch(scene.old)
    watch.look()
    (said,) = scene.registry.read()
    assert (said.kind, said.plan, said.replaced_ms) == ("worker", scene.old.hash, None)
    assert (watch.replaced_by, said.name.endswith(f"-{os.getpid()}")) == (None, True)


def test_one_whose_plan_is_replaced_says_so_and_stays_where_it_is_not_to_end(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    watch = scene.watch(scene.old)
    scene.plans.save(scene.new)
    for _ in range(3):
        watch.look()
    assert watch.replaced_by == scene.new.hash
    (said,) = scene.registry.read()
    assert (said.plan, said.replaced_ms is not None) == (scene.old.hash, True)
    assert caplog.text.count("is not in force any more") == 1
    assert scene.ends.told == 0


def test_it_ends_at_the_second_look_and_once(scene: Scene) -> None:
    watch = scene.watch(scene.old, ends=True)
    scene.plans.save(scene.new)
    watch.look()
    assert (scene.ends.told, watch.has_ended) == (0, False)
    scene.ends.can = False  # nothing handles SIGTERM yet
    watch.look()
    assert (scene.ends.told, watch.has_ended) == (1, False)
    scene.ends.can = True
    for _ in range(3):
        watch.look()
    assert (scene.ends.told, watch.has_ended) == (2, True)


def test_who_takes_an_apply_back_at_once_ends_nothing(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    watch = scene.watch(scene.old, ends=True)
    for _ in range(3):
        scene.plans.save(scene.new)
        watch.look()
        scene.plans.save(scene.old)
        watch.look()
    assert scene.ends.told == 0
    assert watch.replaced_by is None
    assert "is in force again" in caplog.text


def test_neither_a_flushed_redis_nor_one_that_is_away_ends_a_process(
    scene: Scene, caplog: pytest.LogCaptureFixture, free_port: int
) -> None:
    watch = scene.watch(scene.old, ends=True)
    scene.redis.delete(plan_key(scene.old.project))
    for _ in range(3):
        watch.look()
    assert (scene.ends.told, watch.replaced_by) == (0, None)
    assert caplog.text.count("run `headrace apply`") == 1
    away = scene.watch(scene.old, f"redis://127.0.0.1:{free_port}/0", ends=True)
    away.start(scene.ends)
    away.stop()
    assert (scene.ends.told, away.replaced_by) == (0, None)


def test_a_plan_that_this_version_cannot_load_replaces_none(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    watch = scene.watch(scene.old, ends=True)
    scene.redis.set(plan_key(scene.old.project), "0" * 64)
    for _ in range(4):
        watch.look()
    assert scene.ends.told == 0
    assert caplog.text.count("this process goes on with plan") == 1
    scene.redis.set(plan_key(scene.old.project), "no hash")
    for _ in range(3):
        watch.look()
    assert (scene.ends.told, watch.replaced_by) == (0, None)
    assert caplog.text.count("which is none") == 1


def test_two_projects_of_one_redis_do_not_end_each_other(scene: Scene) -> None:
    watch = scene.watch(scene.old, ends=True)
    other = purchases_plan(f"{scene.old.project}-2", late_tiles=1, max_future_ms=1000)
    PlanStore(scene.redis, other.project).save(other)
    for _ in range(3):
        watch.look()
    assert (scene.ends.told, watch.replaced_by) == (0, None)


def test_a_turn_lasts_for_as_long_as_one_drains_and_starts(scene: Scene) -> None:
    scene.plans.save(scene.new)
    watch = scene.watch(scene.old, ends=True, takes_turns=True, drain_s=3600.0)
    for _ in range(2):
        watch.look()
    assert watch.has_ended
    (left_ms,) = [scene.redis.pttl(key) for key in scene.redis.scan_iter("*turn*")]
    assert 3_600_000 < left_ms <= 3_630_000


def test_those_that_take_turns_end_one_after_the_other(scene: Scene) -> None:
    watches = [scene.watch(scene.old, ends=True, takes_turns=True) for _ in range(3)]
    scene.plans.save(scene.new)
    for _ in range(4):
        for watch in watches:
            watch.look()
    assert [watch.has_ended for watch in watches] == [True, False, False]
    scene.redis.delete(f"headrace:{scene.old.project}:turn:worker")  # as it does by itself
    watches[2].look()
    assert [watch.has_ended for watch in watches] == [True, False, True]


def test_one_that_ends_is_forgotten_and_one_that_was_killed_a_day_ago_too(scene: Scene) -> None:
    killed = '{"v":1,"plan":"5e88","replaced":null,"at":1}'
    scene.redis.hset(processes_key(scene.old.project), "worker|killed-1", killed)
    watch = scene.watch(scene.old)
    watch.start()
    eventually(
        scene.registry.read,
        "the process",
        lambda all: [p.name for p in all] != ["killed-1"] and len(all) == 1,
    )
    watch.stop()
    assert scene.registry.read() == []
    watch.stop()


def test_a_signal_is_not_sent_before_somebody_handles_it() -> None:
    told: list[int] = []
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        assert not terminate()
        signal.signal(signal.SIGTERM, lambda *_: told.append(1))
        assert terminate()
        eventually(lambda: told, "the signal")
    finally:
        signal.signal(signal.SIGTERM, before)
