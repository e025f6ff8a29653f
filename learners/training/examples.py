"""The consumer of one router's examples topic: trains its learners and publishes their versions."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka import Message

from headrace.learners.models.pointers import ModelPointer, ModelPointers
from headrace.learners.models.store import Artifact, ModelStore
from headrace.learners.project import Project
from headrace.learners.training.config import REPEAT_S
from headrace.learners.training.learner_state import LearnerState
from headrace.learners.training.log import TrainingLog
from headrace.learners.training.past import Past
from headrace.learners.training.publish_budget import PublishBudget
from headrace.learners.training.restored_versions import restore_versions
from headrace.learners.training.trainer import Trainer
from headrace.learners.training.versions import LearnerVersions
from headrace.schemas.errors import RecordError
from headrace.schemas.event_times import time_fault
from headrace.schemas.marks import Mark, read_mark
from headrace.schemas.plan import Plan
from headrace.schemas.records import Example, read_record
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.log.records import appended_ms, headers_of
from headrace.streams.runtime.health import Sample

_log = logging.getLogger(__name__)
_Standing = tuple[ModelPointer, tuple[int, int]]  # what serves; the era, and the prefix learned in it


class ExampleConsumer:
    """Trains the arms of a router on its examples, in offset order.

    Each learner goes on from its own newest artifact and passes over examples that it has learned. A version
    is published when the marks of all partitions cross a multiple of the router's `publish_ms`, and when
    `publish_every_s` of wall clock have passed since the last version and something was learned, or more: at
    most a tenth of the time goes into such versions (`PublishBudget`). Its artifact is written first, then
    the log names it, then Redis points to it.

    Parameters
    ----------
    plan
        The plan in force.
    router
        Whose arms.
    project
        Has the models of the learners.
    store
        Where artifacts are written.
    states
        What the log says of the versions of the learners.
    log
        Names artifacts, and takes records that are no examples, and examples on which a model raises.
    pointers
        Where versions are put in force.
    publish_every_s
        0: by time marks alone, so that versions do not depend on how fast the machine is.
    past
        What the lineage knows of learners of which the log has nothing.

    Attributes
    ----------
    topic
        The topic that is read.
    refused
        How many records were refused since the start.

    Raises
    ------
    ModelError
        When a learner cannot go on from its newest artifact.
    """

    def __init__(
        self,
        plan: Plan,
        router: RouterSpec,
        project: Project,
        store: ModelStore,
        states: Mapping[str, LearnerState],
        log: TrainingLog,
        pointers: ModelPointers,
        publish_every_s: float,
        past: Past,
    ) -> None:
        self.topic = plan.topics.router(router.name).examples
        self._router, self._ahead_ms = router, plan.max_future_ms(router)
        self.refused = 0
        self._store, self._log, self._pointers = store, log, pointers
        self._publish_every_s = publish_every_s
        self._budget = PublishBudget(len(plan.learners), publish_every_s)
        self._writers = ThreadPoolExecutor(len(router.arms), thread_name_prefix="publish")
        self._versions = {
            arm: restore_versions(plan, project, router.name, arm, store, log, states.get(arm), past)
            for arm in router.arms
        }
        self._trainers = [versions.trainer for versions in self._versions.values()]
        self._announced: dict[str, _Standing] = {}
        self._repeated_s = time.monotonic()
        for arm in router.arms:
            self._budget.begin(arm, time.monotonic())

    @property
    def versions(self) -> Mapping[str, LearnerVersions]:
        """The versions of each learner."""
        return self._versions

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
        meaning = "Records of the examples topic that became dead letters"
        yield Sample(
            "train_examples_refused", meaning, {"router": self._router.name}, self.refused, grows=True
        )
        for trainer in self._trainers:
            labels = {"router": self._router.name, "learner": trainer.name}
            age_s = self._budget.age_s(trainer.name, time.monotonic())
            yield Sample("train_learned", "Examples learned", labels, trainer.examples, grows=True)
            meaning = "Examples on which the model raised"
            yield Sample("train_poisoned", meaning, labels, trainer.poisoned, grows=True)
            meaning = "Examples learned since the newest version"
            yield Sample("train_unpublished", meaning, labels, trainer.unpublished)
            meaning = "Since a version was published, or the start"
            yield Sample("train_version_age_seconds", meaning, labels, age_s)
            meaning = "Seconds that went into publishing versions"
            spent_s = self._budget.spent_s[trainer.name]
            yield Sample("train_publishing_seconds", meaning, labels, spent_s, grows=True)
            meaning = "Records to learn until the definition before stops serving"
            left = self._versions[trainer.name].left_to_learn
            yield Sample("train_cut_over_records", meaning, labels, left)

    def begin(self) -> None:
        """Publish the untrained model of each new learner, and announce the newest version of the others."""
        self._publish([trainer for trainer in self._trainers if trainer.minor < 0])
        self._log.commit()
        self._announce(self._trainers)
        for trainer in self._trainers:  # what the start costs is not paid back
            self._budget.begin(trainer.name, time.monotonic())

    def take(self, message: Message) -> None:
        """Learn the example of one record, or advance to its time mark."""
        offset = int(message.offset() or 0)
        value = message.value()
        if value is None:
            mark = read_mark(headers_of(message))
            why = "no time mark" if mark is None else self._fault(message, mark)
            if why is not None and offset >= self.offset:
                self._refuse(message, f"a record without a value: {why}")
            self._mark(offset, None if why else mark)
            return
        try:
            example = read_record(Example.model_validate_json, value)
        except RecordError as error:
            if offset >= self.offset:
                self._refuse(message, str(error))
            self.reach(offset + 1)
            return
        self.record_versions()
        for trainer in self._trainers:
            if (raised := trainer.take(offset, example)) is not None:
                self._log.dead_letter(message, f"learner '{trainer.name}' raised {raised}", "invalid")

    def _fault(self, message: Message, mark: Mark) -> str | None:
        # The clock would wait for partitions that are not there.
        if mark.partitions > self._router.partitions:
            return f"it is of one of {mark.partitions} partitions, and there are {self._router.partitions}"
        return time_fault(mark.time_ms, appended_ms(message), self._ahead_ms)

    def _refuse(self, message: Message, reason: str) -> None:
        self.refused += 1
        self._log.dead_letter(message, reason, "malformed")

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
        """Publish versions that are due by wall clock, and prefixes in which there was nothing to learn.

        Every `REPEAT_S` all is put into Redis again: a Redis that has lost it gets it back from here.
        """
        self._publish([trainer for trainer in self._trainers if trainer.unpublished and self._due(trainer)])
        self._announce_learned()
        if time.monotonic() - self._repeated_s >= REPEAT_S:
            self._point(self._announced)
            self._repeated_s = time.monotonic()

    def record_versions(self) -> None:
        """Add published versions to the lineage. Comes before anything more is learned.

        Metrics and digest of a model take longer than to publish it, and published versions serve meanwhile.
        They are committed with what is committed next.
        """
        for learner, versions in self._versions.items():
            if versions.unrecorded is not None:
                began_s = time.monotonic()
                versions.record()
                self._budget.spend(learner, time.monotonic() - began_s)

    def finish(self) -> None:
        """Publish what was learned since the last versions, unless versions follow time marks alone."""
        if self._publish_every_s:
            self._publish([trainer for trainer in self._trainers if trainer.unpublished])
        self.record_versions()
        self._log.commit()

    def close(self) -> None:
        """End the threads that write artifacts."""
        self._writers.shutdown()

    def _due(self, trainer: Trainer) -> bool:
        return self._publish_every_s > 0 and self._budget.is_due(trainer.name, time.monotonic())

    def _publish(self, trainers: list[Trainer]) -> None:
        """Publish versions of several learners together, so that they wait for the disk at the same time."""
        if not trainers:
            return
        self.record_versions()
        began_s = time.monotonic()
        for trainer in trainers:
            self._budget.begin(trainer.name, began_s)
        artifacts = [trainer.checkpoint() for trainer in trainers]
        written = list(self._writers.map(self._written, artifacts))
        contents = [content for content, _ in written]
        for artifact, content in zip(artifacts, contents, strict=True):
            self._versions[artifact.header.name].publish(artifact, content)
        self._log.reach((self.topic, 0), min(one.durable_offset for one in self._versions.values()))
        self._log.commit()
        self._announce(trainers)
        took_s, of_all_s = time.monotonic() - began_s, sum(each_s for _, each_s in written)
        for trainer, (_, each_s) in zip(trainers, written, strict=True):
            self._budget.spend(trainer.name, took_s * each_s / of_all_s)
            _log.info("%s@%s: %d examples", trainer.name, trainer.version, trainer.examples)

    def _written(self, artifact: Artifact) -> tuple[str, float]:
        """Write an artifact, and return the name of its content and the seconds that it took."""
        began_s = time.perf_counter()
        return self._store.write(artifact), time.perf_counter() - began_s

    def announce(self, learner: str) -> None:
        """Point to the version of a learner that serves."""
        self._announce([self._versions[learner].trainer])

    def _announce_learned(self) -> None:
        """Announce the prefixes of learners that have nothing left to publish."""
        self._announce([trainer for trainer in self._trainers if not trainer.unpublished])

    def _announce(self, trainers: list[Trainer]) -> None:
        """Point to the versions of these learners that serve, where version or prefix has changed."""
        succeeded = [trainer for trainer in trainers if self._versions[trainer.name].succeed()]
        if succeeded:
            self._log.commit()
        standings = {trainer.name: self._standing(trainer) for trainer in trainers}
        self._point({name: new for name, new in standings.items() if self._announced.get(name) != new})

    def _standing(self, trainer: Trainer) -> _Standing:
        versions = self._versions[trainer.name]
        return versions.pointer, (versions.era, trainer.offset)

    def _point(self, standings: Mapping[str, _Standing]) -> None:
        if not standings:
            return
        pointers = {name: pointer for name, (pointer, _) in standings.items()}
        learned = {name: learned for name, (_, learned) in standings.items()}
        self._pointers.point(self.topic, pointers, learned)
        self._announced |= standings
