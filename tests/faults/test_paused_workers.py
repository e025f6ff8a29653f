"""A worker that is paused and goes on after its partitions have moved has no effect any more.

Some seams and few rounds run with all tests, the others in `make test-faults`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.pausing_worker import SEAMS
from tests.support.row_watch import RowWatch
from tests.support.waiting import eventually, until_some_moment
from tests.support.worker_scene import PARTITIONS, Load, Scene


@pytest.fixture
def scene(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(kafka_bootstrap, redis_url, project, tmp_path)
    yield made
    made.stop()


def assert_right(scene: Scene, watch: RowWatch) -> None:
    scene.wait()
    scene.assert_equals_oracle()
    scene.assert_counts_equal_oracle()
    assert watch.samples > 0
    assert watch.went_back == []


def knows_that_it_lost(scene: Scene) -> bool:
    text = scene.log_file.read_text()
    return "the group has given" in text or "cannot go on" in text


FIRST = (
    "inside a Redis exchange",
    "between a checkpoint and its transaction",
    "inside a transaction, before its end",
)
OTHERS = [pytest.param(seam, 3, marks=pytest.mark.faults) for seam in SEAMS if seam not in FIRST]
LATER = [pytest.param(seam, 11, marks=pytest.mark.faults) for seam in SEAMS]


@pytest.mark.parametrize(("seam", "after"), [*((seam, 3) for seam in FIRST), *OTHERS, *LATER])
def test_paused_at_a_seam(scene: Scene, seam: str, after: int) -> None:
    rng = random.Random(17)
    with RowWatch(scene.redis_url, scene.plan) as watch:
        with Load(scene, rng):
            paused = scene.start_worker(program="pausing_worker", seam=seam, after=after)
            eventually(lambda: paused.is_paused, "the worker to stop itself")
            scene.start_worker()
            scene.wait_for_motion(2000)
            paused.wake()
            eventually(lambda: knows_that_it_lost(scene), "the paused worker to learn of it")
            scene.wait_for_motion(1000)
        assert_right(scene, watch)
        for worker in scene.running():
            scene.kill(worker)
        scene.start_worker()  # restores what they left
        scene.produce_random(rng, 500)
        assert_right(scene, watch)


def rounds(few: int, many: int) -> Any:
    return pytest.mark.parametrize("rounds", [few, pytest.param(many, marks=pytest.mark.faults)])


@rounds(3, 60)
def test_paused_and_killed_at_random_moments(scene: Scene, rounds: int) -> None:
    rng = random.Random(18)
    with RowWatch(scene.redis_url, scene.plan) as watch:
        with Load(scene, rng):
            for _ in range(rounds):
                while len(scene.running()) < 3:
                    scene.start_worker()
                victim = rng.choice(scene.running())
                victim.pause()
                until_some_moment(rng, 5)
                if rng.random() < 0.3:
                    scene.kill(rng.choice(scene.running()))
                victim.wake()
                until_some_moment(rng, 2)
            scene.start_worker()
        assert_right(scene, watch)


@rounds(2, 24)
def test_a_standby_takes_over_from_the_first_record(scene: Scene, rounds: int) -> None:
    """There are more workers than partitions and shards: some have none, until another dies."""
    rng = random.Random(19)
    shards = scene.plan.sources[0].shards
    with Load(scene, rng, a_second=200):
        while len(scene.running()) <= PARTITIONS + shards:
            scene.start_worker()
        scene.wait_for_motion(200)
        for _ in range(rounds):
            scene.kill(rng.choice(scene.running()))
            scene.start_worker()
            scene.wait_for_motion(400)
    scene.wait()
    scene.assert_equals_oracle()
    scene.assert_counts_equal_oracle()
