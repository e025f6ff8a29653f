"""State that the code of a release has written, and what this code says to each part of it.

A file of ``tests/golden/releases`` holds, of a small project that ran once around its loop under that code,
records of all topics, the whole Redis, and files of its data directory.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import redis

from headrace.deploy.commands.apply import compile_project
from headrace.featurestore.backfill.blocks import BlockFiles
from headrace.featurestore.backfill.span import Span
from headrace.featurestore.backfill.state import BackfillState
from headrace.featurestore.batch.progress import MaterializationProgress
from headrace.featurestore.offline.feature_log import ViewLog
from headrace.featurestore.online.client import FeatureClient
from headrace.featurestore.plans.store import PlanStore, read_signature
from headrace.learners.models.pointers import ModelPointers
from headrace.learners.models.store import ModelStore
from headrace.learners.models.versions import decode_version, read_lineage_file
from headrace.learners.training.changelog import TrainState
from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.errors import HeadraceError
from headrace.schemas.plan import Plan
from headrace.schemas.records import Closing, Epoch, Example, Outcome, Prediction, Record
from headrace.streams.join.changelog import read_changelog
from headrace.streams.join.example_archive import read_examples
from headrace.streams.progress import ProcessRegistry, ProgressStore
from headrace.streams.state.partition import PartitionState
from headrace.streams.state.shard import Shard
from headrace.streams.state.shuffle import decode_block
from headrace.streams.state.source_partition import SourcePartition
from tests.support.clicks_project import make_clicks_project
from tests.support.command_scene import BY_PRICE
from tests.support.paths import ROOT

FOLDER = ROOT / "tests" / "golden" / "releases"
KEY = b"a key of thirty-two characters.."
READ, ABSENT, PASSED_OVER = "read", "not written then", "passed over: of another definition"


@dataclass(frozen=True)
class Logged:
    """A record of a topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class Release:
    """The state that one release has left, with its files in a folder and its keys in a Redis."""

    def __init__(self, name: str, folder: Path, client: redis.Redis, redis_url: str, plan: Plan) -> None:
        raw = json.loads((FOLDER / f"{name}.json").read_text())
        self.plan, self.redis, self.redis_url = plan, client, redis_url
        self.data = folder / ".headrace"
        self._topics: dict[str, list[list[Any]]] = raw["topics"]
        for file, content in raw["files"].items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(base64.b64decode(content))
        client.flushall()
        for key, value in raw["redis"].items():
            if isinstance(value, dict):
                fields = {base64.b64decode(f): base64.b64decode(v) for f, v in value.items()}
                client.hset(base64.b64decode(key), mapping=fields)  # type: ignore[arg-type]
            else:
                client.set(base64.b64decode(key), base64.b64decode(value))

    def records(self, topic: str) -> list[Logged]:
        return [
            Logged(partition, offset, _bytes(key), _bytes(value))
            for partition, offset, key, value in self._topics.get(topic, ())
        ]

    def values(self, topic: str) -> list[bytes]:
        return [one.value for one in self.records(topic) if one.value is not None]

    def files(self, pattern: str) -> list[Path]:
        return sorted(self.data.glob(pattern))


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


Answer = str
Reader = Callable[[Release], Answer]


def told_of(release: Release) -> dict[str, Answer]:
    """What this code says to each stored thing: READ, ABSENT, PASSED_OVER, or the error that refuses it."""
    return {name: _answer(reader, release) for name, reader in READERS.items()}


def _answer(reader: Reader, release: Release) -> Answer:
    try:
        return reader(release)
    except HeadraceError as error:
        return f"{type(error).__name__}: {_shown(str(error), release)}"


def _shown(text: str, release: Release) -> str:
    """An error without what differs from run to run."""
    text = text.replace(str(release.data.parent), "PROJECT").replace(release.redis_url, "REDIS")
    text = re.sub(r"this Headrace reads (\d+( and )?)+", "this Headrace reads others", text)
    return re.sub(r"[0-9a-f]{12,}", "HASH", text)


def _plan(release: Release) -> Answer:
    PlanStore(release.redis, "clicks").load()
    return READ


def _signature(release: Release) -> Answer:
    found = [key for key in release.redis.scan_iter("headrace:clicks:plan:*:signature")]
    for key in found:
        assert read_signature(str(release.redis.get(key), "utf-8"))  # type: ignore[arg-type]
    return READ if found else ABSENT


def _online_rows(release: Release) -> Answer:
    with FeatureClient(release.plan, release.redis_url) as client:
        found = client.get_online_features(
            ["user_clicks:spent_1h", "user_profile:age"], {"user": ["ada", "bob"]}
        ).columns
    assert found["user_profile__age"] == [36, 41]
    assert found["user_clicks__spent_1h"] == [12, 3]
    return READ


def _progress(release: Release) -> Answer:
    found = ProgressStore(release.redis, release.plan).read()
    stages = {place[0] for place, progress in found.items() if progress.next_offset}
    return READ if {"features", "join"} <= stages else f"of {sorted(stages)}"


def _processes(release: Release) -> Answer:
    return READ if ProcessRegistry(release.redis, "clicks").read() else ABSENT


def _materialized(release: Release) -> Answer:
    if not release.redis.exists("headrace:clicks:materialized"):
        return ABSENT
    (view,) = release.plan.batch_views
    found = MaterializationProgress(release.redis_url, release.plan).read(view)
    return PASSED_OVER if found is None else READ


def _in_force(release: Release) -> Answer:
    found = ModelPointers(release.redis, "clicks", key=KEY).read(release.plan.router("main"))
    faults = [*found.faults.values(), found.epoch_fault]
    told = sorted({_shown(fault, release) for fault in faults if fault})
    assert told or len(found.pointers) == 2
    return "a fault: " + "; ".join(told) if told else READ


def _state(state: PartitionState, release: Release, changelog: str) -> Answer:
    entries = [(one.key, one.value) for one in release.records(changelog) if one.partition == state.partition]
    if not entries:
        return ABSENT
    state.restore(entries)
    return READ if state.next_offset else PASSED_OVER


def _worker(release: Release) -> Answer:
    source = release.plan.source("clicks")
    topic = release.plan.topics.source("clicks").changelog
    answers = {_state(SourcePartition(release.plan, source, n), release, topic) for n in range(2)}
    return max(answers - {ABSENT}, default=ABSENT)


def _shard(release: Release) -> Answer:
    topic = release.plan.topics.source("clicks").shuffle_changelog
    return _state(Shard(release.plan, release.plan.source("clicks"), 0), release, topic)


def _blocks(release: Release) -> Answer:
    topic = release.plan.topics.source("clicks").shuffle
    values = release.values(topic)
    definitions = {decode_block(value, 0).definition for value in values}
    if not definitions:
        return ABSENT
    own = Shard(release.plan, release.plan.source("clicks"), 0).definition
    return READ if own in definitions else PASSED_OVER


def _join(release: Release) -> Answer:
    records = release.records(release.plan.topics.router("main").join_changelog)
    for partition in range(2):
        read_changelog((one.key, one.value) for one in records if one.partition == partition)
    return READ if records else ABSENT


def _records(kind: str, model: type[Record]) -> Reader:
    def read(release: Release) -> Answer:
        values = release.values(getattr(release.plan.topics.router("main"), kind))
        for value in values:
            model.model_validate_json(value)
        return READ if values else ABSENT

    return read


def _dead_letters(release: Release) -> Answer:
    letters = [DeadLetter.model_validate_json(v) for v in release.values(release.plan.topics.dead_letters)]
    assert [letter.kind for letter in letters] == ["malformed"]
    return READ


def _versions(release: Release) -> Answer:
    values = release.values(release.plan.topics.models)
    for value in values:
        decode_version(value)
    return READ if values else ABSENT


def _lineage_files(release: Release) -> Answer:
    found = [read_lineage_file(release.data / "models", learner) for learner in ("plain", "live")]
    return READ if all(found) else ABSENT


def _trainer(release: Release) -> Answer:
    state = TrainState()
    newest = {one.key: one.value for one in release.records(release.plan.topics.train_changelog)}
    for key, value in newest.items():
        if key is not None and value is not None:
            state.load(key, value)
    return READ if newest else ABSENT


def _artifacts(release: Release) -> Answer:
    store = ModelStore(release.data / "models", KEY)
    for file in release.files("models/*/*.model"):
        version, _, content = file.stem.partition("-")
        artifact = store.resume(file.parent.name, version, content)
        assert artifact.header.examples
    return READ


def _feature_log(release: Release) -> Answer:
    log = ViewLog(release.data / "feature_log", release.plan, "user_clicks")
    found = release.files("feature_log/user_clicks/**/*.parquet")
    before = [file for file in found if not file.stem.endswith("empty")]
    assert before
    log.open()
    own = [file for file in log.files() if file in before]
    for file in own:
        assert set(pq.ParquetFile(file).schema_arrow.names) >= {"user", "clicks_1h", "event_timestamp"}
    return READ if own else PASSED_OVER


def _archive(release: Release) -> Answer:
    folder = release.data / "examples" / "main"
    table = read_examples(folder)
    assert len(table)
    return READ


def _backfill(release: Release) -> Answer:
    files = release.files("backfill/user_clicks/*-0.parquet")
    files = [file for file in files if "shard" not in file.name]
    if not files:
        return ABSENT
    state = SourcePartition(release.plan, release.plan.source("clicks"), 0)
    BackfillState(files[0], state, Span())
    definition = files[0].name.partition("-")[0]
    if release.files("backfill/user_clicks/*-blocks-*"):
        assert [*BlockFiles(files[0].parent, definition, 0).read(0)]
    return READ if state.next_offset else PASSED_OVER


READERS: dict[str, Reader] = {
    "plan": _plan,
    "signature of the plan": _signature,
    "online rows": _online_rows,
    "progress": _progress,
    "processes": _processes,
    "how far batch views are written": _materialized,
    "pointers and epochs in force": _in_force,
    "worker's changelog": _worker,
    "shards' changelog": _shard,
    "shuffle blocks": _blocks,
    "join's changelog": _join,
    "predictions": _records("predictions", Prediction),
    "outcomes": _records("outcomes", Outcome),
    "examples": _records("examples", Example),
    "closings": _records("closings", Closing),
    "epochs": _records("epochs", Epoch),
    "dead letters": _dead_letters,
    "published versions": _versions,
    "lineage files": _lineage_files,
    "trainer's changelog": _trainer,
    "artifacts": _artifacts,
    "feature log": _feature_log,
    "archive of examples": _archive,
    "backfill": _backfill,
}


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("2*.json"))


def plan_of_today(folder: Path) -> Plan:
    """The plan that this code makes of the project that the releases ran."""
    project = make_clicks_project(folder)
    features = project / "features.py"
    text = features.read_text().replace(
        '"headrace.key": "user"', '"headrace.key": "user", "headrace.shards": "1"'
    )
    features.write_text(text.replace("\nuser_profile = ", f"{BY_PRICE}\nuser_profile = ", 1))
    return compile_project(project).plan


def file_of(release: Path, begin: str) -> tuple[str, bytes]:
    """Name and content of a file of a release, by how its name begins."""
    files = json.loads(release.read_text())["files"]
    (name,) = [name for name in files if name.rpartition("/")[2].startswith(begin)]
    return name.rpartition("/")[2], base64.b64decode(files[name])
