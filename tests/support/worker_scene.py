"""A scene for tests of the worker: real servers, a log that is remembered, workers that can be killed."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import redis
from confluent_kafka import Consumer, TopicPartition

from headrace.deploy.commands.topics import ensure_topics
from headrace.featurestore.online.client import FeatureClient
from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.plan import Plan
from headrace.streams.progress import ProgressStore, counts_key
from headrace.streams.worker.consumer_group import worker_group
from tests.support import nursery
from tests.support.consumer_groups import wait_until_acknowledged
from tests.support.expected_rows import NO_UDFS, assert_rows_equal, expected_rows, record_of, rules_of
from tests.support.nursery import Forked
from tests.support.ordered_producer import ordered_producer
from tests.support.purchases import purchases_plan
from tests.support.waiting import PATIENCE_S, eventually
from tests.support.window_oracle import OracleEvent, RowUdf, judge

PARTITIONS = 2
USERS, SHOPS = 40, 15  # users in each partition, shops in all


class Scene:
    """A plan with its topics, a producer that remembers what it logged, and workers that can be killed.

    The events begin at `start_ms`.
    """

    def __init__(
        self,
        bootstrap: str,
        redis_url: str,
        project: str,
        tmp_path: Path,
        plan: Plan | None = None,
        udfs: Mapping[str, RowUdf] = NO_UDFS,
        start_ms: int = 1_700_000_000_000,
    ) -> None:
        self.plan = plan or purchases_plan(project, late_tiles=20, max_future_ms=10_000)
        self.udfs, self.start_ms = udfs, start_ms
        self.bootstrap, self.redis_url = bootstrap, redis_url
        self.redis = redis.Redis.from_url(redis_url)
        self.plan_file = tmp_path / "plan.json"
        self.plan_file.write_text(self.plan.to_json())
        self.registry = ""  # URL of the one its workers know
        self.log_file = tmp_path / "worker.log"
        self.logs: list[list[OracleEvent]] = [[] for _ in range(PARTITIONS)]
        self.workers: list[Forked] = []
        self._producer = ordered_producer(bootstrap, {"linger.ms": 1})
        ensure_topics(bootstrap, self.plan, event_partitions=PARTITIONS)

    @property
    def progress(self) -> ProgressStore:
        """Progress by the plan of the workers that are started now."""
        return ProgressStore(self.redis, Plan.from_json(self.plan_file.read_text()))

    def start_worker(
        self, idle_ms: int = 3_600_000, program: str = "worker_process", **config: Any
    ) -> Forked:
        arguments = [
            str(self.plan_file),
            self.bootstrap,
            self.redis_url,
            str(idle_ms),
            self.registry,
            json.dumps(config),
        ]
        worker = nursery.start(f"tests.support.{program}", arguments, self.log_file)
        self.workers.append(worker)
        return worker

    def told(self, worker: Forked, text: str) -> int:
        """How many lines with a text a worker has logged; all log to one file."""
        lines = self.log_file.read_text().splitlines()
        return sum(f" {worker.pid} " in line and text in line for line in lines)

    def produce(self, partition: int, event: OracleEvent) -> None:
        self.logs[partition].append(event)
        record = record_of(event)
        self._producer.produce(
            self.plan.sources[0].topic,
            record.value,
            record.key,
            partition,
            timestamp=record.timestamp,
            headers=list(record.headers),
        )
        self._producer.poll(0)

    def produce_random(self, rng: random.Random, count: int) -> None:
        for _ in range(count):
            partition = rng.randrange(PARTITIONS)
            offset = len(self.logs[partition])
            now = self.start_ms + sum(map(len, self.logs)) * 2
            self.produce(partition, random_event(rng, partition, offset, now))
        self.flush()

    def look_at_partitions_anew(self) -> None:
        """For the producer to know partitions that were added."""
        self._producer = ordered_producer(self.bootstrap, {"linger.ms": 1})

    def flush(self) -> None:
        self._producer.flush()

    def wait(self) -> None:
        """Wait until all that was produced is in the rows."""
        prefix = {n: log[-1].offset + 1 for n, log in enumerate(self.logs) if log}
        with self._log_shown():
            self.progress.wait(self.plan.sources[0].topic, prefix, timeout_s=PATIENCE_S)

    def wait_for_checkpoint(self) -> None:
        """Wait until all that was produced is behind a checkpoint."""
        topics_read = [
            self.plan.sources[0].topic,
            self.plan.topics.source(self.plan.sources[0].name).shuffle,
        ]
        wait_until_acknowledged(self.bootstrap, worker_group(self.plan), topics_read)

    def visible(self) -> int:
        """How many records have been applied, as progress tells."""
        found = self.progress.read()
        return sum(p.next_offset for (_, _, _, member), p in found.items() if member == "direct")

    def online(self, expected: dict[Any, Any]) -> dict[Any, Any]:
        """The rows the store has for the oracle's keys, through the SDK."""
        client = FeatureClient(self.plan, self.redis_url)
        rows: dict[Any, Any] = {}
        for view in self.plan.stream_views:
            keys = [key for name, key in expected if name == view.name]
            if not keys:
                continue
            names = [key.name for key in view.join_keys]
            features = [feature.name for feature in view.features]
            entity_rows = [dict(zip(names, key, strict=True)) for key in keys]
            columns = client.get_online_features([f"{view.name}:{f}" for f in features], entity_rows).columns
            for at, key in enumerate(keys):
                found = {feature: columns[f"{view.name}__{feature}"][at] for feature in features}
                if any(value is not None for value in found.values()):
                    rows[view.name, key] = found
        return rows

    def assert_equals_oracle(self) -> None:
        judged = [judge(log, rules_of(self.plan, self.udfs)) for log in self.logs]
        expected = expected_rows(self.plan, judged, self.udfs)
        assert_rows_equal(self.online(expected), expected)

    def counts(self) -> list[dict[str, int]]:
        """What became of the records of each partition, as Redis has it."""
        stored: Any = self.redis.hgetall(counts_key(self.plan.project))
        names = (f"intake|{self.plan.sources[0].topic}|{partition}" for partition in range(PARTITIONS))
        return [json.loads(stored[name.encode()]) for name in names]

    def assert_counts_equal_oracle(self) -> None:
        for counts, log in zip(self.counts(), self.logs, strict=True):
            assert counts == judge(log, rules_of(self.plan, self.udfs)).counts

    def running(self) -> list[Forked]:
        return [worker for worker in self.workers if worker.poll() is None]

    def wait_for_motion(self, records: int = 1, since: int | None = None) -> None:
        """Wait until the workers have applied some records more: than `since` or, when None, than now."""
        before = self.visible() if since is None else since
        with self._log_shown():
            eventually(self.visible, f"{before + records} records", lambda now: now >= before + records)

    @contextlib.contextmanager
    def _log_shown(self) -> Iterator[None]:
        """Show what the workers logged last, if the block fails."""
        try:
            yield
        except Exception:
            print(self.log_file.read_text()[-5000:])
            raise

    def kill(self, worker: Forked) -> None:
        """As kill -9 does."""
        worker.send_signal(signal.SIGKILL)
        worker.wait()

    def stop(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()


class Load:
    """Produces at random, in small steps, until the block ends."""

    def __init__(self, scene: Scene, rng: random.Random, a_second: int = 600) -> None:
        self._scene, self._rng, self._a_second = scene, random.Random(rng.random()), a_second
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(0.05):
            self._scene.produce_random(self._rng, self._a_second // 20)


def random_event(rng: random.Random, partition: int, offset: int, now: int) -> OracleEvent:
    appended = now + 5
    draw = rng.random()
    if draw < 0.01:
        return OracleEvent(offset, appended, broken=True)
    if draw < 0.02:
        return OracleEvent(offset, appended, mark_ms=now)
    fields = {
        "user": rng.randrange(USERS) * PARTITIONS + partition,
        "shop": f"shop-{rng.randrange(SHOPS)}",
        "event_ms": now - rng.choice([0, 0, 0, 20, 150, 5000]) + (10**7 if draw < 0.03 else 0),
        "amount": rng.choice([None, round(rng.uniform(-50, 50), 3)]),
        "items": rng.choice([None, rng.randrange(10)]),
    }
    return OracleEvent(offset, appended, fields)


def dead_letters_of(bootstrap: str, plan: Plan, name: str) -> list[DeadLetter]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False})
    _, end = consumer.get_watermark_offsets(TopicPartition(name, 0), timeout=PATIENCE_S)
    consumer.assign([TopicPartition(name, 0, 0)])
    found: list[DeadLetter] = []
    while len(found) < end:
        found += [DeadLetter.model_validate_json(m.value()) for m in consumer.consume(500, 1.0)]
    consumer.close()
    return found
