"""What a worker says of itself over HTTP, and when it gives up."""

from __future__ import annotations

import random

import pytest

from headrace.deploy.local.redis_server import RedisServer
from tests.support.expected_rows import rules_of
from tests.support.process_health import (
    EXIT_FAILED,
    STUCK_S,
    ask,
    assert_tells_of_a_standstill,
    wait_for_metric,
    wait_until_idle_for_redis,
    wait_until_ready,
)
from tests.support.waiting import eventually
from tests.support.window_oracle import judge
from tests.support.worker_scene import PARTITIONS, Scene


@pytest.fixture
def redis_url(own_redis: RedisServer) -> str:
    return own_redis.url


def test_records_add_up_in_metrics_and_probes_tell_the_state(scene: Scene, free_port: int) -> None:
    scene.produce_random(random.Random(31), 2000)
    scene.start_worker(metrics_port=free_port)
    wait_until_ready(free_port)
    scene.wait()
    topic = scene.plan.sources[0].topic
    told = wait_for_metric(free_port, "headrace_lag", lambda lags: lags and not any(lags.values()))
    for partition, log in enumerate(scene.logs):
        place = (topic, str(partition))
        fates = {
            fate: told["headrace_records_total"][*place, fate]
            for fate in ("applied", "late", "dead", "marks")
        }
        assert fates == judge(log, rules_of(scene.plan)).counts
        assert sum(fates.values()) == told["headrace_position"][place] == len(log)
        assert told["headrace_lag"][place] == 0
        assert told["headrace_restored_ratio"][place] == 1
        assert told["headrace_freshness_seconds"][place] > 1e6  # the events are of 2023
        assert told["headrace_ranges_total"][place] > 0
    assert len(told["headrace_position"]) == 2 * PARTITIONS  # shards as well
    assert set(told["headrace_waiting"].values()) == {0}
    assert ask(free_port, "/healthz")[0] == 200
    assert ask(free_port, "/nothing")[0] == 404


def test_waiting_for_redis_is_no_standstill(scene: Scene, own_redis: RedisServer, free_port: int) -> None:
    worker = scene.start_worker(metrics_port=free_port, stuck_s=STUCK_S)
    scene.produce_random(random.Random(32), 500)
    scene.wait()
    own_redis.stop()
    scene.produce_random(random.Random(33), 500)
    wait_until_idle_for_redis(free_port)
    own_redis.start()
    scene.wait()
    scene.assert_equals_oracle()
    assert worker.poll() is None
    wait_for_metric(free_port, "headrace_waiting", lambda waiting: set(waiting.values()) == {0})


def test_a_worker_that_stands_still_with_records_before_it_ends_and_says_why(scene: Scene) -> None:
    rng = random.Random(34)
    worker = scene.start_worker(program="hanging_worker", stuck_s=2.0)

    def produce_some() -> int | None:
        scene.produce_random(rng, 50)
        return worker.poll()

    assert eventually(produce_some, "the end of the worker", lambda code: code is not None) == EXIT_FAILED
    assert_tells_of_a_standstill(scene.log_file)
    scene.start_worker()
    scene.wait()
    scene.assert_equals_oracle()
