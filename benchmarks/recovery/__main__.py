"""What was lost comes back: how long the commands of `docs/operations/recovery.md` take, and what follows.

The project of `headrace init` on a real Kafka and Redis, with orders, and predictions with a label each.
Every time is from the start of a command, or of a process, to the moment when the stage says that everything
is there again. A row, an example or a version that is missing then ends the benchmark without a figure.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import redis

from benchmarks.streams.measure import wait_until
from benchmarks.streams.report import machine
from benchmarks.streams.servers import Servers, servers
from benchmarks.streams.topic_log import produce
from benchmarks.streams.workload import Record
from headrace import EventProducer, FeatureClient, load_settings
from headrace.deploy.commands.apply import apply_plan, compile_project
from headrace.deploy.commands.init import write_project
from headrace.deploy.local.child import Child, free_port
from headrace.learners.models.versions import read_versions
from headrace.schemas.records import Outcome, Prediction
from headrace.streams.log.partitioner import partition_for
from headrace.streams.log.reader import end_offset
from headrace.streams.progress import ProgressStore, Stage

_PATIENCE_S = 3600.0
_AT_ONCE = 10_000
_SEEN = 500  # customers whose features are compared
_HOUR_MS = 3_600_000
_SERVICE = "customer_features"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000, help="default 1,000,000")
    parser.add_argument("--customers", type=int, default=100_000, help="default 100,000")
    parser.add_argument("--predictions", type=int, default=50_000, help="each with a label; default 50,000")
    parser.add_argument("--kafka", help="host:port of a running broker; else one is started")
    parser.add_argument("--redis", help="URL of a running Redis, an empty database; else one is started")
    options = parser.parse_args()
    print(machine())
    with (
        servers(options.kafka, options.redis) as both,
        tempfile.TemporaryDirectory() as folder,
        Recovery(both, Path(folder), options.orders, options.customers) as recovery,
    ):
        recovery.rows(options.orders)
        recovery.models(options.predictions)


class Recovery:
    """The project, and its processes one at a time."""

    def __init__(self, both: Servers, folder: Path, orders: int, customers: int) -> None:
        self._kafka, self._folder, self._customers = both.kafka, folder, customers
        self._repository = folder / "shop"
        write_project(self._repository)
        self._settings = load_settings(
            self._repository, kafka=both.kafka, redis=both.redis, metrics_port=free_port(), idle_ms=_HOUR_MS
        )
        self._settings.make_signing_key()
        self._plan = compile_project(self._repository).plan
        apply_plan(self._settings, self._plan)
        self._redis = redis.Redis.from_url(both.redis)
        self._progress = ProgressStore(self._redis, self._plan)
        self._router = self._plan.routers[0]
        self._topics = self._plan.topics.router(self._router.name)
        self._now_ms = time.time_ns() // 1_000_000
        self._send_orders(orders)

    def __enter__(self) -> Recovery:
        return self

    def __exit__(self, *_: object) -> None:
        self._redis.flushdb()

    def rows(self, orders: int) -> None:
        """Rows of stream views: from their topic, from the changelog, and by a reset."""
        topic = self._plan.sources[0].topic
        with self._running("worker"), _told(f"worker: rows of {orders:,} events"):
            self._reached("features", topic)
        before = self._features()
        self._redis.flushdb()
        with _told("Redis lost: apply"):
            self._run("apply")
        with _told(f"rebuild of {self._customers:,} rows"):
            self._run("rebuild")
        self._same(before)
        with self._running("worker"), _told(f"worker after its end: {self._customers:,} keys"):
            self._reached("features", topic)
        with _told("changelog of a source lost: reset"):
            self._run("reset", "orders", "--yes")
        with self._running("worker"), _told(f"and then the worker: {orders:,} events"):
            self._reached("features", topic)
        self._same(before)

    def models(self, predictions: int) -> None:
        """Examples and models: from their topics, and by resets."""
        produce(self._kafka, self._topics.predictions, self._predictions(predictions))
        produce(self._kafka, self._topics.outcomes, map(self._outcome, range(predictions)))
        with self._running("join"), _told(f"join: {predictions:,} examples"):
            self._reached("join", self._topics.predictions)
            self._reached("join", self._topics.outcomes)
        examples = end_offset(self._kafka, self._topics.examples, 0)
        with _told(f"changelog of the join lost: reset --join of {2 * predictions:,} records"):
            self._run("reset", "--join", self._router.name, "--yes")
        with self._running("join"), _told("and then the join"):
            self._reached("join", self._topics.predictions)
            self._reached("join", self._topics.outcomes)
        if end_offset(self._kafka, self._topics.examples, 0) != examples:
            raise SystemExit("no figure: the join has given examples out again")
        with self._running("train"), _told(f"train: {predictions:,} examples, two models"):
            self._reached("train", self._topics.examples)
        shutil.rmtree(self._settings.models_dir)
        with _told("model store lost: retrain"):
            self._run("retrain", "--yes")
        with self._running("train"), _told(f"and then train: {predictions:,} examples, two models"):
            self._reached("train", self._topics.examples)
        learned = {one.name: one.examples for one in read_versions(self._kafka, self._plan.project)}
        if set(learned.values()) != {predictions}:
            raise SystemExit(f"no figure: {learned} in place of {predictions} examples")

    @contextmanager
    def _running(self, name: str) -> Iterator[None]:
        """A process, which may stop before the block goes on behind it."""
        self._since_ms = time.time_ns() // 1_000_000
        command = [sys.executable, "-P", "-m", "headrace", name, str(self._repository)]
        log, environment = self._folder / f"{name}.log", self._settings.environment()
        self._child = Child(name, command, log, self._repository, environment).start()
        try:
            yield
        finally:
            self._child.stop()

    def _run(self, *words: str) -> None:
        command = [sys.executable, "-P", "-m", "headrace", *words]
        done = subprocess.run(
            command, cwd=self._repository, env=self._settings.environment(), capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"no figure: {' '.join(words)}: {done.stderr}")

    def _reached(self, stage: Stage, topic: str) -> None:
        """Wait until the process that runs has said that all of a topic is done."""
        partitions = self._partitions(topic)
        ends = {partition: end_offset(self._kafka, topic, partition) for partition in range(partitions)}

        def reached() -> bool:
            done: dict[int, bool] = {}
            for (of, read, partition, _), seen in self._progress.read().items():
                if (of, read) == (stage, topic):
                    is_there = seen.next_offset >= ends[partition] and seen.at_ms >= self._since_ms
                    done[partition] = done.get(partition, True) and is_there
            return all(done.get(partition) for partition, end in ends.items() if end)

        wait_until(reached, _PATIENCE_S, stage, self._child.check)

    def _partitions(self, topic: str) -> int:
        if topic == self._topics.examples:
            return 1
        joined = topic in (self._topics.predictions, self._topics.outcomes)
        return self._router.partitions if joined else self._settings.event_partitions

    def _features(self) -> Mapping[str, object]:
        client = FeatureClient(self._plan, self._settings.redis)
        asked = [{"customer": f"c{number}"} for number in range(_SEEN)]
        return client.get_online_features(_SERVICE, asked).to_dict()

    def _same(self, before: Mapping[str, object]) -> None:
        if self._features() != before:
            raise SystemExit("no figure: features are others than before")

    def _send_orders(self, orders: int) -> None:
        """Orders of the last hour, in whole cents; every customer has some."""
        with EventProducer.from_plan(self._kafka, self._plan, "orders") as producer:
            for start in range(0, orders, _AT_ONCE):
                producer.send_batch(
                    {
                        "customer": f"c{number % self._customers}",
                        "amount": number % 10_000 / 100,
                        "event_ms": self._now_ms - _HOUR_MS + number * _HOUR_MS // orders,
                    }
                    for number in range(start, min(start + _AT_ONCE, orders))
                )

    def _predictions(self, many: int) -> Iterator[Record]:
        names = [ref.full_name for ref in self._plan.service(_SERVICE).features]
        arms = dict.fromkeys(self._router.arms, 1 / len(self._router.arms))
        for number in range(many):
            key = f"k{number}"
            prediction = Prediction(
                prediction_id=f"p{number}", router=self._router.name, key=key, unit=key, ts_ms=self._now_ms,
                entities={"customer": f"c{number % self._customers}"},
                request={"order": number, "amount": number % 10_000 / 100},
                features=dict.fromkeys(names, 1), provenance={}, scores=dict.fromkeys(arms, 0.5),
                versions=dict.fromkeys(arms, "1.0"), epoch=0, propensities=arms,
                chosen=self._router.champion, propensity=1 / len(arms), plan_hash=self._plan.hash,
            )  # fmt: skip
            yield self._place(key), key.encode(), prediction.to_bytes()

    def _outcome(self, number: int) -> Record:
        key, label = f"k{number}", float(number % 10_000 > 4_000)
        outcome = Outcome(outcome_id=f"o{number}", key=key, label=label, ts_ms=self._now_ms)
        return self._place(key), key.encode(), outcome.to_bytes()

    def _place(self, key: str) -> int:
        return partition_for(key.encode(), self._router.partitions)


@contextmanager
def _told(what: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
