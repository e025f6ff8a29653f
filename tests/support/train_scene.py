"""A project with its topics, and trainers to start and stop."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import redis

from headrace.deploy.commands.topics import ensure_topics
from headrace.learners.models.pointers import ModelPointers
from headrace.learners.models.state_digest import state_digest
from headrace.learners.models.store import Artifact, ModelStore
from headrace.learners.models.versions import PublishedVersion, read_versions
from headrace.learners.training.changelog import TrainState, read_state
from headrace.learners.training.config import TrainConfig
from headrace.learners.training.process import TrainProcess
from headrace.schemas.marks import mark_headers
from headrace.schemas.records import Closing, Epoch, Example
from headrace.schemas.topics import RouterTopics
from headrace.streams.log.reader import read_log
from headrace.streams.progress import ProgressStore
from headrace.streams.runtime.restoring import Restoring
from tests.support.flight_learners import LEARNERS, flights
from tests.support.ordered_producer import ordered_producer
from tests.support.train_process import KEY
from tests.support.waiting import PATIENCE_S, eventually


class Scene:
    """A project with its topics, what was written to them, and trainers to start, stop and kill."""

    def __init__(
        self, bootstrap: str, redis_url: str, project: str, folder: Path, text: str = LEARNERS
    ) -> None:
        self.bootstrap, self.redis_url, self.folder = bootstrap, redis_url, folder
        self.plan, self.project = flights(folder, project, text)
        self.router = self.plan.routers[0]
        self.redis = redis.Redis.from_url(redis_url)
        self.pointers = ModelPointers(self.redis, project, key=KEY)
        self.store = ModelStore(folder / "models", KEY)
        self.examples = RouterTopics(project, self.router.name).examples
        self.closings = RouterTopics(project, self.router.name).closings
        self.epochs = RouterTopics(project, self.router.name).epochs
        self._progress = ProgressStore(self.redis, self.plan)
        self._producer = ordered_producer(bootstrap, {"linger.ms": 1})
        ensure_topics(bootstrap, self.plan, event_partitions=1)

    def write(self, topic: str, *values: bytes | int, partition: int = 0) -> None:
        """Records, or time marks where a value is a number."""
        for value in values:
            if isinstance(value, int):
                self._producer.produce(topic, None, partition=partition, headers=mark_headers(value))
            else:
                self._producer.produce(topic, value, partition=partition)
        assert self._producer.flush(PATIENCE_S) == 0

    def process(self, publish_every_s: float = TrainConfig.publish_every_s) -> TrainProcess:
        config = TrainConfig(publish_every_s=publish_every_s)
        return TrainProcess(self.plan, self.bootstrap, self.redis_url, self.store, self.project, config)

    def await_trained(self, offset: int) -> None:
        """Wait until every learner has published the prefix."""
        eventually(
            self._trained,
            f"versions of all learners that have learned the examples before offset {offset}",
            lambda ends: all(end is not None and end >= offset for end in ends.values()),
        )

    def has_trained(self, offset: int) -> bool:
        """Whether every learner has published the prefix."""
        return all(end is not None and end >= offset for end in self._trained().values())

    def _trained(self) -> dict[str, int | None]:
        found = self._progress.read()
        reached = {arm: found.get(("train", self.examples, 0, arm)) for arm in self.router.arms}
        return {arm: None if one is None else one.next_offset for arm, one in reached.items()}

    def await_epoch(self, number: int) -> Epoch:
        found = eventually(
            lambda: self.pointers.read(self.router).epoch,
            f"epoch {number}",
            lambda epoch: epoch is not None and epoch.epoch >= number,
        )
        assert found is not None
        return found

    def read(self, topic: str) -> list[bytes]:
        return [message.value() or b"" for message in read_log(self.bootstrap, topic, 0)]

    def digests(self) -> dict[str, str]:
        return {arm: state_digest(self.newest(arm).model) for arm in self.router.arms}

    def newest(self, arm: str) -> Artifact:
        """The artifact that the log names."""
        named = self.state().models[arm].trained.kept[-1]
        return self.store.resume(arm, named.version, named.artifact)

    def state(self) -> TrainState:
        return read_state(self.bootstrap, self.plan.topics.train_changelog, Restoring())

    def lineage(self, arm: str) -> list[PublishedVersion]:
        versions = read_versions(self.bootstrap, self.plan.project)
        return [version for version in versions if version.name == arm]


@contextlib.contextmanager
def running(process: TrainProcess) -> Iterator[None]:
    thread = threading.Thread(target=process.work)
    thread.start()
    try:
        yield
    finally:
        process.stop()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def bodies(found: list[Example] | list[Closing]) -> list[bytes]:
    return [record.to_bytes() for record in found]
