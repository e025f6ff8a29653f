"""What a worker says of itself over HTTP, and when it gives up."""

from __future__ import annotations

import random
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.redis_server import RedisServer
from tests.integration.scene import PARTITIONS, Scene
from tests.parity.test_windows_parity import rules_of
from tests.parity.window_oracle import judge

pytestmark = pytest.mark.kafka
EXIT_FAILED = 70


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis", persistent=True) as server:
        yield server


@pytest.fixture
def scene(kafka_bootstrap: str, own_redis: RedisServer, project: str, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(kafka_bootstrap, own_redis.url, project, tmp_path)
    yield made
    made.stop()


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except URLError:
        return 0, ""  # does not listen yet


def metrics(port: int) -> dict[str, dict[tuple[str, ...], float]]:
    """Sample name to (topic, partition, fate), or what labels there are, to value."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(ask(port, "/metrics")[1]):
        for sample in family.samples:
            labels = (value for _, value in sorted(sample.labels.items(), reverse=True))
            found.setdefault(sample.name, {})[tuple(labels)] = sample.value
    return found


def test_records_add_up_in_metrics_and_probes_tell_the_state(scene: Scene, free_port: int) -> None:
    scene.produce_random(random.Random(31), 2000)
    scene.start_worker(metrics_port=free_port, stuck_s=4.0)
    seen = set()
    while (answer := ask(free_port, "/readyz"))[0] != 200:
        seen.add(answer)
        time.sleep(0.01)
    assert (503, "not a member of the consumer group yet\n") in seen
    scene.wait()
    time.sleep(1.5)  # the ends of topics are looked up now and then
    topic, told = scene.plan.sources[0].topic, metrics(free_port)
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
    worker = scene.start_worker(metrics_port=free_port, stuck_s=2.0)
    scene.produce_random(random.Random(32), 500)
    scene.wait()
    own_redis.stop()
    scene.produce_random(random.Random(33), 500)
    time.sleep(6)
    assert metrics(free_port)["headrace_waiting"]["redis",] == 1
    status, told = ask(free_port, "/healthz")
    assert (status, told.endswith("waiting for redis\n")) == (200, True)
    assert sum(metrics(free_port)["headrace_lag"].values()) > 0
    own_redis.start()
    scene.wait()
    scene.assert_equals_oracle()
    assert worker.poll() is None
    assert set(metrics(free_port)["headrace_waiting"].values()) == {0}


def test_a_worker_that_stands_still_with_records_before_it_ends_and_says_why(scene: Scene) -> None:
    rng = random.Random(34)
    worker = scene.start_worker(program="hanging_worker", stuck_s=2.0)
    deadline = time.monotonic() + 40
    while worker.poll() is None:
        assert time.monotonic() < deadline
        scene.produce_random(rng, 50)
        time.sleep(0.05)
    assert worker.returncode == EXIT_FAILED
    told = scene.log_file.read_text()
    assert "makes no progress: it stands at offset" in told or "no checkpoint has ended for" in told
    scene.start_worker()
    scene.wait()
    scene.assert_equals_oracle()
