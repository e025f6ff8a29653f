"""The consumer of one router's examples topic: trains its learners and publishes their versions."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka import Message
from pydantic import ValidationError

from headrace.learners.models.pointers import ModelPointer, ModelPointers
from headrace.learners.models.store import ModelHeader, ModelStore
from headrace.learners.project import Project
from headrace.learners.training.dead_letters import DeadLetters
from headrace.learners.training.trainer import Trainer
from headrace.schemas.marks import Mark, read_mark
from headrace.schemas.plan import Plan
from headrace.schemas.records import Example, misfit
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.runtime.health import Sample

_log = logging.getLogger(__name__)


class ExampleConsumer:
    """Trains the arms of a router on its examples, in offset order.

    Each learner goes on from its own newest artifact and passes over examples that it has learned. A version
    is published when the marks of all partitions cross a multiple of the router's `publish_ms`, and when
    `publish_every_s` of wall clock have passed since the last version and something was learned.

    Parameters
    ----------
    plan
        The plan in force.
    router
        Whose arms.
    project
        Has the models of the learners.
    store
        Where versions are published.
    pointers
        Where versions are put in force.
    dead_letters
        For records that are no examples, and examples on which a model raises.
    flush
        Waits until all dead letters are acknowledged; called before a version is published.
    publish_every_s
        0: by time marks alone, so that versions do not depend on how fast the machine is.

    Attributes
    ----------
    topic
        The topic that is read.
    """

    def __init__(
        self,
        plan: Plan,
        router: RouterSpec,
        project: Project,
        store: ModelStore,
        pointers: ModelPointers,
        dead_letters: DeadLetters,
        flush: Callable[[], None],
        publish_every_s: float,
    ) -> None:
        self.topic = plan.topics.router(router.name).examples
        self._router = router
        self._store, self._pointers = store, pointers
        self._dead_letters, self._flush = dead_letters, flush
        self._publish_every_s = publish_every_s
        self._writers = ThreadPoolExecutor(len(router.arms), thread_name_prefix="publish")
        self._trainers = [self._trainer(plan, project, arm) for arm in router.arms]
        self._announced = dict.fromkeys(router.arms, -1)
        self._unrecorded: list[tuple[Trainer, ModelHeader]] = []  # published, not yet in the lineage
        self._published_s = dict.fromkeys(router.arms, time.monotonic())

    def _trainer(self, plan: Plan, project: Project, arm: str) -> Trainer:
        newest = self._store.latest(arm)
        if newest is None:
            return Trainer(plan, project.learner(arm))
        artifact = self._store.resume(arm, newest)
        trainer = Trainer(plan, project.learner(arm), artifact)
        recorded = any(published.version == newest for published in self._store.lineage(arm))
        if trainer.version == newest and not recorded:  # a crash came between the two
            self._store.record(trainer.describe(artifact.header))
        return trainer

    @property
    def offset(self) -> int:
        """Next offset to read: that of the learner that is furthest behind."""
        return min(trainer.offset for trainer in self._trainers)

    @property
    def clock_ms(self) -> int | None:
        """Event time that the learner furthest behind has reached; None before marks of all partitions."""
        clocks = [trainer.mark_ms for trainer in self._trainers]
        return None if None in clocks else min(clock for clock in clocks if clock is not None)

    def samples(self) -> Iterator[Sample]:
        """Return metrics of the learners. Safe to call from any thread."""
        for trainer in self._trainers:
            labels = {"router": self._router.name, "learner": trainer.name}
            age_s = time.monotonic() - self._published_s[trainer.name]
            yield Sample("train_learned", "Examples learned", labels, trainer.examples, grows=True)
            meaning = "Examples on which the model raised"
            yield Sample("train_poisoned", meaning, labels, trainer.poisoned, grows=True)
            meaning = "Examples learned since the newest version"
            yield Sample("train_unpublished", meaning, labels, trainer.unpublished)
            meaning = "Since a version was published, or the start"
            yield Sample("train_version_age_seconds", meaning, labels, age_s)

    def begin(self) -> None:
        """Publish the untrained model of each new learner, and announce the newest version of the others."""
        self._publish([trainer for trainer in self._trainers if trainer.minor < 0])
        self._announce(self._trainers)

    def take(self, message: Message) -> None:
        """Learn the example of one record, or advance to its time mark."""
        offset = int(message.offset() or 0)
        value = message.value()
        if value is None:
            self._mark(offset, read_mark(message.headers()))
            return
        try:
            example = Example.model_validate_json(value)
        except ValidationError as error:
            reason = f"no training example: {misfit(error)}"
            self._dead_letters.send(message, reason, "malformed")
            self.reach(offset + 1)
            return
        self.record_versions()
        for trainer in self._trainers:
            if (raised := trainer.take(offset, example)) is not None:
                self._dead_letters.send(message, f"learner '{trainer.name}' raised {raised}", "invalid")

    def _mark(self, offset: int, mark: Mark | None) -> None:
        if mark is None:
            self.reach(offset + 1)
            return
        every_ms = self._router.publish_ms
        crossed = [trainer for trainer in self._trainers if trainer.mark(offset, mark, every_ms)]
        self._publish([trainer for trainer in crossed if trainer.unpublished])
        self._announce_learned()  # at once: with the next example it would have to wait for its version

    def reach(self, offset: int) -> None:
        """Advance to `offset`: no record is left before."""
        for trainer in self._trainers:
            trainer.reach(offset)

    def tick(self) -> None:
        """Publish versions that are due by wall clock, and prefixes in which there was nothing to learn."""
        self._publish([trainer for trainer in self._trainers if trainer.unpublished and self._due(trainer)])
        self._announce_learned()

    def record_versions(self) -> None:
        """Add published versions to the lineage. Comes before anything more is learned.

        Metrics and digest of a model take longer than to publish it, and published versions serve meanwhile.
        """
        unrecorded, self._unrecorded = self._unrecorded, []
        for trainer, header in unrecorded:
            self._store.record(trainer.describe(header))

    def finish(self) -> None:
        """Publish what was learned since the last versions, unless versions follow time marks alone."""
        if self._publish_every_s:
            self._publish([trainer for trainer in self._trainers if trainer.unpublished])
        self.record_versions()

    def _due(self, trainer: Trainer) -> bool:
        waited = time.monotonic() - self._published_s[trainer.name]
        return self._publish_every_s > 0 and waited >= self._publish_every_s

    def _publish(self, trainers: list[Trainer]) -> None:
        """Publish versions of several learners together, so that they wait for the disk at the same time."""
        if not trainers:
            return
        self.record_versions()
        self._flush()
        artifacts = [trainer.checkpoint() for trainer in trainers]
        list(self._writers.map(self._store.publish, artifacts))
        headers = [artifact.header for artifact in artifacts]
        self._unrecorded = list(zip(trainers, headers, strict=True))
        self._announce(trainers)
        for trainer in trainers:
            self._published_s[trainer.name] = time.monotonic()
            _log.info("%s@%s: %d examples", trainer.name, trainer.version, trainer.examples)

    def _announce_learned(self) -> None:
        """Announce the prefixes of learners that have nothing left to publish."""
        self._announce([trainer for trainer in self._trainers if not trainer.unpublished])

    def _announce(self, trainers: list[Trainer]) -> None:
        """Point to the newest versions of these learners, where version or prefix has changed."""
        changed = {
            trainer.name: ModelPointer(trainer.version, trainer.offset)
            for trainer in trainers
            if self._announced[trainer.name] != trainer.offset
        }
        if changed:
            self._pointers.point(self.topic, changed)
            self._announced |= {name: pointer.offset for name, pointer in changed.items()}
