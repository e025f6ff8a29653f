"""A small project on real servers whose commands are killed at one of their effects, and run again."""

from __future__ import annotations

import json
import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import redis

from headrace.deploy.commands.apply import apply_plan, compile_project
from headrace.deploy.settings import Settings, load_settings
from headrace.featurestore.online.client import FeatureClient
from headrace.schemas.avro.encode import encode_confluent
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka_admin import end_offsets
from headrace.streams.log.reader import log_bounds, read_log
from headrace.streams.progress import ProgressStore
from tests.support import nursery
from tests.support.clicks_project import NOON_MS, make_clicks_project
from tests.support.effects import How, Watched
from tests.support.ordered_producer import ordered_producer
from tests.support.waiting import PATIENCE_S

PARTITIONS = 2
KILLED = -9
_APART_MS = 20_000
_USERS = ("ada", "bob", "eve", "dan", "kim")
# A second view of the topic, which is keyed otherwise and goes through the shuffle.
BY_PRICE = """
price = Entity(name="price", join_keys=["price"], value_type=ValueType.INT64)
price_clicks = StreamFeatureView(
    name="price_clicks",
    source=clicks,
    entities=[price],
    timestamp_field="event_ms",
    schema=[Field(name="price", dtype=Int64), Field(name="sold_1h", dtype=Int64)],
    aggregations=[
        Aggregation(
            column="user", function="count", time_window=timedelta(hours=1),
            slide_interval=timedelta(minutes=5), name="sold_1h",
        ),
    ],
)
"""
_IMPORTS = (
    "headrace.featurestore.feast_repo.registration",
    "headrace.deploy.cli.main",
    "tests.support.effects",
)


@dataclass(frozen=True)
class Ran:
    """A command that has run: its exit code, KILLED where it was, what it printed, and its effects."""

    status: int
    printed: str
    effects: tuple[str, ...]


class CommandScene:
    """A project that is applied, with events in its topic."""

    def __init__(
        self,
        folder: Path,
        project: str,
        kafka: str,
        redis_url: str,
        by_price: bool = False,
        learners: bool = False,
    ) -> None:
        self.folder, self.project, self.kafka = make_clicks_project(folder), project, kafka
        self.redis_url, self.redis = redis_url, redis.Redis.from_url(redis_url)
        self.environment = {
            "HEADRACE_KAFKA": kafka,
            "HEADRACE_REDIS": redis_url,
            "HEADRACE_EVENT_PARTITIONS": str(PARTITIONS),
        }
        if not learners:
            (self.folder / "learners.py").unlink()
        self.edit("feature_store.yaml", "project: clicks", f"project: {project}")
        self.edit("features.py", 'topic="clicks"', f'topic="{project}.clicks"')
        self.edit(
            "features.py", '"headrace.key": "user"', '"headrace.key": "user", "headrace.schema_id": "1"'
        )
        if by_price:
            self.edit("features.py", '"headrace.key"', '"headrace.shards": "2", "headrace.key"')
            self.edit("features.py", "\nuser_profile = ", f"{BY_PRICE}\nuser_profile = ")
        self.apply()

    @property
    def settings(self) -> Settings:
        return load_settings(self.folder, kafka=self.kafka, redis=self.redis_url, event_partitions=PARTITIONS)

    def edit(self, name: str, old: str, new: str) -> None:
        file = self.folder / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

    def apply(self) -> None:
        self.plan: Plan = compile_project(self.folder).plan
        apply_plan(self.settings, self.plan)

    def produce(self, count: int, seed: int = 1) -> None:
        """Log events of some users, some seconds apart, each user in its own partition."""
        rng, source = random.Random(seed), self.plan.source("clicks")
        producer = ordered_producer(self.kafka, {"linger.ms": 1})
        for number in range(count):
            which = rng.randrange(len(_USERS))
            at_ms = NOON_MS + _APART_MS * number
            event = {"user": _USERS[which], "event_ms": at_ms, "price": rng.randrange(1, 4)}
            producer.produce(
                source.topic,
                encode_confluent(source.reader_schema, 1, event),
                _USERS[which].encode(),
                which % PARTITIONS,
                timestamp=at_ms,
            )
        producer.flush()

    def run(self, *words: str, last: int | None = None, how: How = "before", matching: str = "") -> Ran:
        """Run a command, to its end or to one of its effects."""
        with tempfile.TemporaryDirectory() as name:
            log, printed = Path(name) / "effects", Path(name) / "printed"
            log.touch()
            watched = Watched(str(self.folder), str(log), last, how, matching)
            arguments = [json.dumps(self.environment), json.dumps(asdict(watched)), *words]
            arguments.append(str(self.folder))
            child = nursery.start("tests.support.dying_command", arguments, printed, _IMPORTS)
            status = child.wait(PATIENCE_S)
            effects = tuple(line.replace(self.project, "PROJECT") for line in log.read_text().splitlines())
            return Ran(status, printed.read_text(), effects)

    @contextmanager
    def worker(self) -> Iterator[None]:
        """Run `headrace worker` in the block; all that was produced is in its rows at the end."""
        with tempfile.TemporaryDirectory() as name:
            log = Path(name) / "worker"
            arguments = [json.dumps(self.environment), "worker", str(self.folder)]
            process = nursery.start("tests.support.headrace_process", arguments, log, _IMPORTS)
            try:
                yield
                topic = self.plan.source("clicks").topic
                ends = {n: end for (_, n), end in end_offsets(self.kafka, [topic]).items()}
                ProgressStore(self.redis, self.plan).wait(topic, ends, timeout_s=PATIENCE_S)
                assert process.poll() is None, log.read_text()
            finally:
                process.kill()
                process.wait()

    def rows(self) -> dict[str, list[Any]]:
        """What the SDK answers for every user, price and feature."""
        names = [
            f"{v.name}:{f.name}"
            for v in (*self.plan.stream_views, *self.plan.batch_views)
            for f in v.features
        ]
        found: dict[str, list[Any]] = {}
        with FeatureClient(self.plan, self.redis_url) as client:
            for key, values in (("user", list(_USERS)), ("price", [1, 2, 3])):
                of_key = [n for n in names if n.startswith(f"{key}_")]
                if of_key:
                    found |= client.get_online_features(of_key, {key: values}).columns
        return found

    def log_rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """The rows of the feature log by view, each once."""
        folder = self.settings.feature_log_dir
        found: dict[str, set[tuple[Any, ...]]] = {}
        for file in folder.rglob("*.parquet"):
            view = file.relative_to(folder).parts[0]
            table = pq.ParquetFile(file).read()
            found.setdefault(view, set()).update(tuple(row.items()) for row in table.to_pylist())
        return {view: sorted(rows, key=repr) for view, rows in found.items()}

    def progress(self) -> dict[tuple[str, ...], int]:
        found = ProgressStore(self.redis, self.plan).read()
        return {
            tuple(str(word).replace(self.project, "PROJECT") for word in place): progress.next_offset
            for place, progress in found.items()
        }

    def changelog(self, topic: str) -> dict[bytes, Any]:
        """The last value of each key of a topic, without what names the project: definition and ids."""
        entries: dict[bytes, bytes | None] = {}
        for number in range(PARTITIONS):
            end = log_bounds(self.kafka, topic, number)[1]
            # What a killed command has open hides what comes behind it, until the broker ends it.
            for message in read_log(self.kafka, topic, number, until=end):
                key = re.sub(rb"\|[0-9a-f]{8,}", b"", message.key() or b"")
                entries[bytes([number]) + key] = message.value()
        return {
            key: value if key[1:2] == b"k" else json.loads(value) | {"topics": None}
            for key, value in entries.items()
            if value is not None
        }


@dataclass
class Kept:
    """The files of a project, and all that is in its Redis, to go back to."""

    scene: CommandScene
    files: Path

    def __post_init__(self) -> None:
        shutil.copytree(self.scene.folder, self.files)
        client = self.scene.redis
        self._dumps: dict[bytes, Any] = {key: client.dump(key) for key in client.scan_iter()}

    def restore(self) -> None:
        shutil.rmtree(self.scene.folder)
        shutil.copytree(self.files, self.scene.folder)
        self.scene.redis.flushall()
        for key, dump in self._dumps.items():
            self.scene.redis.restore(key, 0, dump)


def kinds(effects: Sequence[str]) -> Mapping[str, int]:
    """How many effects of each kind there are."""
    return Counter(" ".join(effect.split()[:2]) for effect in effects)


def ends_of_runs(effects: Sequence[str]) -> list[int]:
    """Numbers of effects that are the first or the last of several equal ones in a row."""
    around = [None, *effects, None]
    return [n for n, each in enumerate(effects) if not around[n] == each == around[n + 2]]


def sample(numbers: Sequence[int], most: int) -> list[int]:
    """The last of some numbers, and others as evenly as can be."""
    step = max(len(numbers) / most, 1)
    return sorted({numbers[-1 - int(n * step)] for n in range(min(most, len(numbers)))})


@contextmanager
def new_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="headrace-command-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
