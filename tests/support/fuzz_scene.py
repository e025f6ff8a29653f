"""A project with every kind of topic, and its five processes, which nothing in a topic may end."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import redis

from headrace import load_settings
from headrace.deploy.commands.apply import apply_plan, compile_project
from headrace.deploy.local.child import free_port
from headrace.featurestore.online.client import FeatureClient
from headrace.learners.models.pointers import ModelPointers
from headrace.schemas.avro import encode_confluent
from headrace.schemas.errors import ProgressTimeout
from headrace.streams.connections.kafka_admin import end_offsets
from headrace.streams.log.partitioner import partition_for
from headrace.streams.log.reader import read_log
from headrace.streams.progress import ProgressStore, counts_key
from headrace.streams.runtime.internal_topics import internal_topics
from tests.support import nursery
from tests.support.headrace_command import run_headrace
from tests.support.http_service import Connection
from tests.support.kafka_topics import make_topic
from tests.support.nursery import Forked
from tests.support.ordered_producer import ordered_producer
from tests.support.request_fuzz import FEATURES, GETS, POSTS, RequestFuzz, send
from tests.support.waiting import PATIENCE_S, eventually

SHOP = Path(__file__).parent / "fuzz_shop"
PARTITIONS = 2
PROCESSES = ("worker", "join", "train", "serve", "features")
_ANY_TIME = {"message.timestamp.after.max.ms": str(2**63 - 1)}


class FuzzScene:
    """The project of `fuzz_shop` on real servers."""

    def __init__(self, bootstrap: str, redis_url: str, registry: str, project: str, folder: Path) -> None:
        self.bootstrap, self.folder = bootstrap, folder
        self.repository = folder / "shop"
        shutil.copytree(SHOP, self.repository)
        for file in self.repository.iterdir():
            file.write_text(file.read_text().replace("PROJECT", project))
        (self.repository / "data").mkdir()
        self.settings = load_settings(
            self.repository,
            kafka=bootstrap,
            redis=redis_url,
            schema_registry=registry,
            port=free_port(),
            features_port=free_port(),
            event_partitions=PARTITIONS,
            idle_ms=1000,
            publish_every_s=0.2,
            request_timeout_s=1,
        )
        self.settings.make_signing_key()
        self.plan = compile_project(self.repository).plan
        # Whatever clock a producer has, this topic takes it.
        make_topic(bootstrap, self.plan.source("orders").topic, PARTITIONS, _ANY_TIME)
        apply_plan(self.settings, self.plan)
        self.redis = redis.Redis.from_url(redis_url)
        self.client = FeatureClient(self.plan, redis_url)
        self.pointers = ModelPointers(self.redis, project, key=self.settings.signing_key())
        self.running: dict[str, Forked] = {}
        self._progress = ProgressStore(self.redis, self.plan)
        self._examples_read: dict[str, int] = {}
        self._producer = ordered_producer(bootstrap, {"linger.ms": 1})

    def start(self) -> None:
        """Start what does not run, and wait until it answers."""
        for name in PROCESSES:
            if name not in self.running:
                self.running[name] = self._start(name, self._log(name))
        for port in (self.settings.port, self.settings.features_port):
            self._eventually(lambda port=port: self._get(f"http://127.0.0.1:{port}/readyz"), f"port {port}")

    def start_alone(self, name: str) -> str | None:
        """Start one, as the owner of all, that may refuse what is in its changelog.

        Returns
        -------
        str or None
            What it said last, when it ended; None when it became ready.
        """
        log, port = self._log(f"{name}-alone"), free_port()
        process = self._start(name, log, HEADRACE_METRICS_PORT=str(port))

        def owns() -> bool:
            """Whether it is ready, and no standby of one that was killed."""
            return self._get(f"http://127.0.0.1:{port}/readyz").startswith(b"ready")

        try:
            eventually(lambda: process.poll() is not None or owns(), f"{name} to be ready, or to end")
            return None if process.poll() is None else log.read_text()[-3000:]
        finally:
            process.kill()
            process.wait()

    def end(self) -> None:
        """Have all end in order, so that no transaction is open."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.wait(PATIENCE_S)
        self.running.clear()

    def stop(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()
        self.running.clear()

    def assert_alive(self) -> None:
        for name, process in self.running.items():
            assert process.poll() is None, f"{name} ended: {self._log(name).read_text()[-3000:]}"

    @property
    def topics(self) -> dict[str, int]:
        """Each topic of the project to its number of partitions."""
        events = {source.topic: PARTITIONS for source in self.plan.sources}
        inner = {spec.name: spec.partitions for spec in internal_topics(self.plan, events)}
        return events | inner

    def work(self, name: str, count: int = 10) -> None:
        """Send good events of one user, ask, tell labels, and wait until all of it is visible.

        The rows are compared with what was sent, and models have learned from the labels.
        """
        begin_ms = time.time_ns() // 1_000_000
        prices = _prices(count)
        for n, price in enumerate(prices):
            self._send_click(name, n, begin_ms, price)
            self._send_order(name, n, begin_ms, price, None)
        self._wait_for_features()
        self._assert_rows(name, prices)
        for router in ("own", "event"):
            self._ask_and_tell(router, name)
        self.assert_alive()

    def assert_worked(self, name: str, count: int = 10) -> None:
        """The rows that `work` has led to are as they were."""
        self._wait_for_features()
        self._assert_rows(name, _prices(count), [1.0])  # the order that told a label

    def _send_click(self, name: str, n: int, at_ms: int, price: float) -> None:
        event = {"user": name, "page": f"{name}-{n % 2}", "event_ms": at_ms, "price": price}
        self._send("clicks", name, json.dumps(event).encode())

    def _send_order(self, name: str, n: int, at_ms: int, price: float, paid: bool | None) -> None:
        source = self.plan.source("orders")
        event = {"user": name, "number": f"{name}-{n}", "paid": paid, "event_ms": at_ms, "price": price}
        self._send("orders", name, encode_confluent(source.reader_schema, source.schema_id, event))

    def _send(self, source: str, key: str, value: bytes) -> None:
        partition = partition_for(key.encode(), PARTITIONS)
        self._producer.produce(self.plan.source(source).topic, value, key.encode(), partition)

    def _wait_for_features(self) -> None:
        assert self._producer.flush(PATIENCE_S) == 0
        for source in self.plan.sources:
            ends = end_offsets(self.bootstrap, [source.topic])
            prefix = {partition: end for (_, partition), end in ends.items()}
            self._wait_visible(source.topic, prefix, "features")

    def _wait_visible(self, topic: str, prefix: dict[int, int], stage: Any) -> None:
        """Wait for what is visible, as long as it comes nearer."""
        self.assert_alive()
        try:
            self._while_progress_is_made(lambda: self.client.wait(topic, prefix, stage, PATIENCE_S))
        except Exception as error:
            raise AssertionError(f"{error}: {self._logs()}") from error

    def _while_progress_is_made(self, wait: Callable[[], None]) -> None:
        """Wait again after patience has run out, if a process has done something in the meantime."""
        while True:
            before = {where: seen.next_offset for where, seen in self._progress.read().items()}
            try:
                return wait()
            except (AssertionError, ProgressTimeout):
                if before == {where: seen.next_offset for where, seen in self._progress.read().items()}:
                    raise

    def _assert_rows(self, name: str, prices: list[float], more_orders: Sequence[float] = ()) -> None:
        total = _total(prices)
        pages = [prices[0::2], prices[1::2]]
        assert self._rows("user_clicks", "user", name) == total
        assert self._rows("user_orders", "user", name) == _total([*prices, *more_orders])
        for n, of_page in enumerate(pages):
            assert self._rows("page_clicks", "page", f"{name}-{n}") == _total(of_page)

    def _rows(self, view: str, key: str, value: str) -> dict[str, Any]:
        names = [feature.name for feature in self.plan.stream_view(view).features]
        columns = self.client.get_online_features([f"{view}:{n}" for n in names], [{key: value}]).columns
        return {n: columns[f"{view}__{n}"][0] for n in names}

    def _ask_and_tell(self, router: str, name: str) -> None:
        question = {
            "router": router,
            "entities": {"user": name},
            "request": {"amount": 3, "number": f"{name}-0"},
        }
        answer = self.post("/v1/predict", question)
        if router == "own":
            label = {"router": router, "prediction_id": answer["prediction_id"], "label": 1}
            self.post("/v1/outcomes", label)
        else:
            self._send_order(name, 0, time.time_ns() // 1_000_000, 1.0, True)
            assert self._producer.flush(PATIENCE_S) == 0
        self._eventually(
            lambda: self._has_learned(router, answer["prediction_id"]), f"models that know {name}"
        )

    def _has_learned(self, router: str, prediction_id: str) -> bool:
        """Whether the models that serve have learned from the example of a prediction."""
        offset = self._example_offset(self.plan.topics.router(router).examples, prediction_id.encode())
        if offset is None:
            return False
        in_force = self.pointers.read(self.plan.router(router))
        arms = [in_force.pointers.get(arm) for arm in self.plan.router(router).arms]
        return offset < min(-1 if pointer is None else pointer.offset for pointer in arms)

    def _example_offset(self, topic: str, prediction_id: bytes) -> int | None:
        """Where the example of a prediction is; a topic is read on from where it was read to before."""
        for message in read_log(self.bootstrap, topic, 0, self._examples_read.get(topic, 0)):
            if prediction_id in (message.value() or b""):
                return int(message.offset())
            self._examples_read[topic] = message.offset() + 1
        return None

    def epoch(self, router: str) -> int:
        """The number of the epoch in force; -1 without one."""
        epoch = self.pointers.read(self.plan.router(router)).epoch
        return -1 if epoch is None else epoch.epoch

    def wait_for_epoch_after(self, router: str, number: int) -> None:
        self._eventually(lambda: self.epoch(router) > number, f"an epoch of {router} after {number}")

    def ask_anything(self, count: int, seed: int) -> Counter[int]:
        """Send so many odd requests to each path of `serve` and `features`; return the answers by status."""
        statuses: Counter[int] = Counter()
        paths = [(path, self.settings.port) for path in (*POSTS, *GETS)]
        for path, port in [*paths, (FEATURES, self.settings.features_port)]:
            requests = RequestFuzz(path, seed).requests(count)
            statuses.update(send(requests, lambda port=port: Connection(port)).statuses)  # type: ignore[misc]
        self.assert_alive()
        return statuses

    def assert_commands_read(self) -> None:
        """The commands that read the topics say what is in them."""
        letters = ("dead-letters", "list")
        late = (*letters, "--late")
        replay = ("dead-letters", "replay", "--dry-run")
        for words in (("status",), ("lineage", "all"), letters, late, replay, ("compact",)):
            told = run_headrace(words, self.repository, self.settings.environment())
            assert told.returncode == 0, (words, told.stderr)
        told = run_headrace(("audit",), self.repository, self.settings.environment())
        assert told.returncode in (0, 1), told.stderr  # forged predictions may differ

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.settings.port}{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{error.code} {error.read()!r}: {self._logs()}") from error

    def assert_counts_add_up(self) -> Counter[str]:
        """Every record of an event topic is in one count, and so is every prediction and outcome."""
        total: Counter[str] = Counter()
        found: Any = self.redis.hgetall(counts_key(self.plan.project))
        counts = {name.decode(): json.loads(value) for name, value in found.items()}
        for source in self.plan.sources:
            for (topic, partition), end in end_offsets(self.bootstrap, [source.topic]).items():
                of_partition = counts[f"intake|{topic}|{partition}"]
                assert sum(of_partition.values()) == end, (topic, partition, of_partition, end)
                total.update(of_partition)
        joins = [name for name in counts if name.startswith("join|")]
        assert len(joins) == PARTITIONS * len(self.plan.routers)
        for name in joins:
            c = Counter(counts[name])
            assert c["predictions"] == c["matched"] + c["pending"] + c["negative"] + c["censored"]
            ends = ("applied", "duplicate", "parked", "orphan", "late", "over_quota")
            assert c["outcomes"] == sum(c[end] for end in ends)
            total.update({f"join {key}": value for key, value in c.items()})
        return total

    def _eventually(self, look: Any, what: str) -> None:
        def seen() -> Any:
            self.assert_alive()
            return look()

        def wait() -> None:
            eventually(seen, what)

        try:
            self._while_progress_is_made(wait)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self._logs()}") from error

    def _get(self, url: str) -> bytes:
        """The answer with status 200; empty while there is another, or none."""
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bytes(answer.read()) if answer.status == 200 else b""
        except OSError:
            return b""

    def _start(self, name: str, log: Path, **environment: str) -> Forked:
        told = json.dumps(self.settings.environment() | environment)
        return nursery.start("tests.support.headrace_process", [told, name, str(self.repository)], log)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _logs(self) -> str:
        logs = (f"--- {name}\n{self._log(name).read_text()[-2500:]}" for name in self.running)
        return "\n".join(logs)


def _prices(count: int) -> list[float]:
    return [float(n % 7) for n in range(count)]


def _total(prices: Sequence[float]) -> dict[str, float]:
    return {"count_1h": len(prices), "sum_1h": sum(prices), "users_1h": 1}
