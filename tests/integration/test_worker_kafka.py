"""The worker against real Apache Kafka and real Redis, compared with the naive oracle row by row."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition

from deploy.topics_admin import ensure_topics
from featurestore.client import FeatureClient
from schemas import topics
from schemas.plan import Plan
from schemas.records import DeadLetter
from streams.progress import ProgressStore, counts_key
from tests.parity.test_windows_parity import (
    assert_rows_equal,
    expected_rows,
    is_empty,
    record_of,
    rules_of,
)
from tests.parity.window_oracle import OracleEvent, judge
from tests.streams.plans import purchases_plan

ROOT = Path(__file__).resolve().parents[2]
PARTITIONS = 2
pytestmark = pytest.mark.kafka


class Scene:
    """A plan with its topics, a producer that remembers what it logged, and workers that can be killed."""

    def __init__(self, bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> None:
        self.plan = purchases_plan(project, late_tiles=20, max_future_ms=10_000)
        self.bootstrap, self.redis_url = bootstrap, redis_url
        self.redis = redis.Redis.from_url(redis_url)
        self.progress = ProgressStore(self.redis, self.plan)
        self.plan_file = tmp_path / "plan.json"
        self.plan_file.write_text(self.plan.to_json())
        self.log_file = tmp_path / "worker.log"
        self.logs: list[list[OracleEvent]] = [[] for _ in range(PARTITIONS)]
        self.workers: list[subprocess.Popen[bytes]] = []
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 1})
        ensure_topics(bootstrap, self.plan, event_partitions=PARTITIONS)

    def start_worker(self, idle_ms: int = 3_600_000) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.integration.worker_process"]
        arguments = [str(self.plan_file), self.bootstrap, self.redis_url, str(idle_ms)]
        with self.log_file.open("ab") as log:
            worker = subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=log, stderr=log)
        self.workers.append(worker)
        return worker

    def produce(self, partition: int, event: OracleEvent) -> None:
        self.logs[partition].append(event)
        record = record_of(event)
        self._producer.produce(
            self.plan.sources[0].topic,
            record.value,
            record.key,
            partition,
            timestamp=record.timestamp,
            headers=record.headers,
        )
        self._producer.poll(0)

    def produce_random(self, rng: random.Random, count: int) -> None:
        for _ in range(count):
            partition = rng.randrange(PARTITIONS)
            offset = len(self.logs[partition])
            now = 1_700_000_000_000 + sum(map(len, self.logs)) * 2
            self.produce(partition, random_event(rng, partition, offset, now))
        self._producer.flush()

    def wait(self, timeout_s: float = 60.0) -> None:
        prefix = {partition: len(log) for partition, log in enumerate(self.logs)}
        try:
            self.progress.wait(self.plan.sources[0].topic, prefix, timeout_s=timeout_s)
        except Exception:
            print(self.log_file.read_text()[-5000:])
            raise

    def online(self, expected: dict) -> dict:
        """The rows the store has for the oracle's keys, through the SDK."""
        client = FeatureClient(self.plan, self.redis_url)
        rows: dict = {}
        for view in self.plan.stream_views:
            keys = [key for name, key in expected if name == view.name]
            if not keys:
                continue
            names = [key.name for key in view.join_keys]
            features = [f"{view.name}:{feature.name}" for feature in view.features]
            entity_rows = [dict(zip(names, key, strict=True)) for key in keys]
            columns = client.get_online_features(features, entity_rows).columns
            for at, key in enumerate(keys):
                found = {f.name: columns[f"{view.name}__{f.name}"][at] for f in view.features}
                if any(value is not None for value in found.values()):
                    rows[view.name, key] = found
        return rows

    def assert_equals_oracle(self) -> None:
        judged = [judge(log, rules_of(self.plan)) for log in self.logs]
        expected = expected_rows(self.plan, judged)
        assert_rows_equal(self.online(expected), expected)

    def stop(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()


def random_event(rng: random.Random, partition: int, offset: int, now: int) -> OracleEvent:
    appended = now + 5
    draw = rng.random()
    if draw < 0.01:
        return OracleEvent(offset, appended, broken=True)
    if draw < 0.02:
        return OracleEvent(offset, appended, mark_ms=now)
    fields = {
        "user": rng.randrange(40) * PARTITIONS + partition,
        "shop": f"shop-{rng.randrange(15)}",
        "event_ms": now - rng.choice([0, 0, 0, 20, 150, 5000]) + (10**7 if draw < 0.03 else 0),
        "amount": rng.choice([None, round(rng.uniform(-50, 50), 3)]),
        "items": rng.choice([None, rng.randrange(10)]),
    }
    return OracleEvent(offset, appended, fields)


@pytest.fixture
def scene(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(kafka_bootstrap, redis_url, project, tmp_path)
    yield made
    made.stop()


def letters_of(bootstrap: str, plan: Plan, name: str) -> list[DeadLetter]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False})
    _, end = consumer.get_watermark_offsets(TopicPartition(name, 0), timeout=10)
    consumer.assign([TopicPartition(name, 0, 0)])
    found: list[DeadLetter] = []
    while len(found) < end:
        found += [DeadLetter.model_validate_json(m.value()) for m in consumer.consume(500, 1.0)]
    consumer.close()
    return found


def test_rows_equal_the_oracle_after_kills_at_random_moments(scene: Scene) -> None:
    rng = random.Random(11)
    scene.start_worker()
    scene.produce_random(rng, 500)
    scene.wait()
    for round_number in range(10):
        worker = scene.start_worker() if scene.workers[-1].poll() is not None else scene.workers[-1]
        scene.produce_random(rng, 1500)
        time.sleep(rng.random() * (0.4 if round_number % 2 else 2.5))  # any moment is a good one to die
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    scene.start_worker()
    scene.wait()
    scene.assert_equals_oracle()


def test_a_record_in_is_a_record_out(scene: Scene) -> None:
    scene.start_worker()
    scene.produce_random(random.Random(5), 3000)
    scene.wait()
    judged = [judge(log, rules_of(scene.plan)) for log in scene.logs]
    stored = scene.redis.hgetall(counts_key(scene.plan.project))
    for partition, one in enumerate(judged):
        counts = json.loads(stored[f"intake|{scene.plan.sources[0].topic}|{partition}".encode()])
        assert counts == one.counts
        assert sum(counts.values()) == len(scene.logs[partition])
    worker = scene.workers[-1]
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    for name, kinds in (
        (topics.late(scene.plan.project), {"late"}),
        (topics.dead_letters(scene.plan.project), {"malformed", "invalid", "future"}),
    ):
        letters = letters_of(scene.bootstrap, scene.plan, name)
        column = "late" if kinds == {"late"} else "dead"
        assert len(letters) == sum(one.counts[column] for one in judged)
        assert {letter.kind for letter in letters} <= kinds


def test_a_stopped_worker_has_acknowledged_everything_it_read(scene: Scene) -> None:
    scene.start_worker()
    scene.produce_random(random.Random(6), 1000)
    scene.wait()
    first = scene.workers[-1]
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    scene.start_worker()
    scene.produce_random(random.Random(7), 10)
    scene.wait()
    scene.assert_equals_oracle()


def test_two_workers_share_the_partitions_and_one_takes_over(scene: Scene) -> None:
    rng = random.Random(8)
    first, second = scene.start_worker(), scene.start_worker()
    for _ in range(3):
        scene.produce_random(rng, 700)
    scene.wait()
    first.send_signal(signal.SIGKILL)
    scene.produce_random(rng, 700)
    scene.wait()
    second.send_signal(signal.SIGTERM)
    assert second.wait(30) == 0
    scene.assert_equals_oracle()


def test_windows_of_partitions_without_traffic_empty_by_the_wall_clock(scene: Scene) -> None:
    """Behind the shuffle as well, and a restart goes on where time is, not where the last record was."""
    worker = scene.start_worker(idle_ms=300)
    now = 1_700_000_000_000
    for user in range(2):
        fields = {"user": user, "shop": "a", "event_ms": now, "amount": 1.0, "items": 1}
        scene.produce(user, OracleEvent(0, now, fields))
    scene._producer.flush()
    scene.wait()
    worker.kill()
    worker.wait()
    scene.start_worker(idle_ms=300)
    keys = {("by_user", (0,)): {}, ("by_user", (1,)): {}, ("by_shop", ("a",)): {}, ("by_both", ("a", 0)): {}}
    deadline = time.monotonic() + 30
    while any(not is_empty(row) for row in scene.online(keys).values()):
        assert time.monotonic() < deadline, scene.online(keys)
        time.sleep(0.05)
