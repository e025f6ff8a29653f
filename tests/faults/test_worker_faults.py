"""Whatever dies under load, and whenever: every online row equals the oracle's, and so do the counts.

Few rounds of each run with all tests, many of them in `make test-faults`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.deploy.local.kafka_server import KafkaServer
from headrace.deploy.local.redis_server import RedisServer
from headrace.streams.log.reader import end_offset
from tests.support.paths import ROOT
from tests.support.waiting import PATIENCE_S, until_some_moment
from tests.support.worker_scene import PARTITIONS, Load, Scene


def rounds(few: int, many: int) -> Any:
    return pytest.mark.parametrize("rounds", [few, pytest.param(many, marks=pytest.mark.faults)])


@pytest.fixture
def scene(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(kafka_bootstrap, redis_url, project, tmp_path)
    yield made
    made.stop()


def assert_nothing_lost_or_doubled(scene: Scene) -> None:
    topic = scene.plan.sources[0].topic
    ends = [end_offset(scene.bootstrap, topic, partition) for partition in range(PARTITIONS)]
    assert ends == [len(log) for log in scene.logs], "the topic is not what was produced"
    scene.wait()
    scene.assert_equals_oracle()
    scene.assert_counts_equal_oracle()


@rounds(6, 100)
def test_kill_9_at_random_moments(scene: Scene, rounds: int) -> None:
    rng = random.Random(11)
    with Load(scene, rng):
        for number in range(rounds):
            worker = scene.start_worker()
            if number % 5:  # else it may not have joined the group, or be in the middle of its restore
                scene.wait_for_motion()
                until_some_moment(rng, 0.3)
            else:
                until_some_moment(rng, 4)
            scene.kill(worker)
        scene.start_worker()
    assert_nothing_lost_or_doubled(scene)


@rounds(2, 30)
def test_sigterm_at_random_moments(scene: Scene, rounds: int) -> None:
    rng = random.Random(12)
    with Load(scene, rng):
        for _ in range(rounds):
            worker = scene.start_worker()
            scene.wait_for_motion()
            until_some_moment(rng, 0.5)
            worker.terminate()
            assert worker.wait(PATIENCE_S) == 0
        scene.start_worker()
    assert_nothing_lost_or_doubled(scene)


@rounds(3, 40)
def test_either_side_of_the_shuffle_is_killed(scene: Scene, rounds: int) -> None:
    """Each of two workers has source partitions and shards: each sends blocks to the other."""
    rng = random.Random(13)
    pair = [scene.start_worker(), scene.start_worker()]
    with Load(scene, rng):
        scene.wait_for_motion()
        for number in range(rounds):
            until_some_moment(rng, 2)
            scene.kill(pair[number % 2])
            pair[number % 2] = scene.start_worker()
            scene.wait_for_motion()
    assert_nothing_lost_or_doubled(scene)


@rounds(4, 60)
def test_workers_are_added_and_removed(scene: Scene, rounds: int) -> None:
    """The state of a partition follows it from worker to worker."""
    rng = random.Random(14)
    with Load(scene, rng):
        for _ in range(rounds):
            running = scene.running()
            if len(running) < 1 + rng.randrange(3):
                scene.start_worker()
            elif rng.random() < 0.5:
                scene.kill(rng.choice(running))
            else:
                rng.choice(running).terminate()
            until_some_moment(rng, 3)
        scene.start_worker()
    assert_nothing_lost_or_doubled(scene)


def keep_running(scene: Scene) -> None:
    """What Kubernetes does: a worker that has ended is started again."""
    if not scene.running():
        scene.start_worker()


@rounds(1, 15)
def test_the_broker_goes_and_comes_back(redis_url: str, project: str, tmp_path: Path, rounds: int) -> None:
    """The events are of today: a broker that starts forgets idempotent producers whose records have old
    timestamps, and takes what they send again for new (docs/operations/install.md)."""
    rng = random.Random(15)
    with KafkaServer(tmp_path / "kafka", cache=ROOT / ".cache" / "kafka") as kafka:
        scene = Scene(kafka.bootstrap, redis_url, project, tmp_path, start_ms=time.time_ns() // 1_000_000)
        scene.start_worker()
        try:
            with Load(scene, rng, a_second=200):
                scene.wait_for_motion()
                for number in range(rounds):
                    (kafka.kill if number % 2 else kafka.stop)()
                    until_some_moment(rng, 2)
                    kafka.start()
                    keep_running(scene)
                    scene.wait_for_motion()
            assert_nothing_lost_or_doubled(scene)
        finally:
            scene.stop()


@rounds(1, 15)
def test_redis_goes_and_comes_back(kafka_bootstrap: str, project: str, tmp_path: Path, rounds: int) -> None:
    """The worker waits, holding a bounded number of records, and goes on without being started anew."""
    rng = random.Random(16)
    with RedisServer(tmp_path / "redis", persistent=True) as server:
        scene = Scene(kafka_bootstrap, server.url, project, tmp_path)
        worker = scene.start_worker()
        try:
            with Load(scene, rng):
                scene.wait_for_motion()
                for number in range(rounds):
                    (server.kill if number % 2 else server.stop)()
                    until_some_moment(rng, 4)
                    server.start()
                    scene.wait_for_motion()
            assert_nothing_lost_or_doubled(scene)
            assert worker.poll() is None
        finally:
            scene.stop()
