"""The examples topic of one router, folded into all of its learners, and their versions published."""

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
from headrace.schemas import topics
from headrace.schemas.marks import mark_time_ms
from headrace.schemas.plan import Plan
from headrace.schemas.records import Example, misfit
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.runtime.health import Sample

_log = logging.getLogger(__name__)


class ExampleFold:
    """Trains the arms of a router.

    Each learner goes on from its own newest artifact, so examples some have learned already are passed over
    by those. A version is published when a time mark crosses a multiple of the router's `publish_ms`, and
    when `publish_every_s` of wall clock have passed since the last one and something was learned.

    Parameters
    ----------
    publish_every_s
        0: by time marks alone, so that versions do not depend on how fast the machine is.
    durable
        Called before a version is published; returns once all dead letters are safe.
    """

    def __init__(
        self,
        plan: Plan,
        router: RouterSpec,
        project: Project,
        store: ModelStore,
        pointers: ModelPointers,
        dead_letters: DeadLetters,
        durable: Callable[[], None],
        publish_every_s: float,
    ) -> None:
        self.topic = topics.examples(plan.project, router.name)
        self._router = router
        self._store, self._pointers = store, pointers
        self._dead_letters, self._durable = dead_letters, durable
        self._every_s = publish_every_s
        self._writers = ThreadPoolExecutor(len(router.arms), thread_name_prefix="publish")
        self._trainers = [self._trainer(plan, project, arm) for arm in router.arms]
        self._announced = dict.fromkeys(router.arms, -1)
        self._untold: list[tuple[Trainer, ModelHeader]] = []  # published, not yet in the lineage
        self._published_s = dict.fromkeys(router.arms, time.monotonic())

    def _trainer(self, plan: Plan, project: Project, arm: str) -> Trainer:
        newest = self._store.latest(arm)
        if newest is None:
            return Trainer(plan, project.learner(arm))
        artifact = self._store.resume(arm, newest)
        trainer = Trainer(plan, project.learner(arm), artifact)
        told = any(known.version == newest for known in self._store.lineage(arm))
        if trainer.version == newest and not told:  # a crash came between the two
            self._store.record(trainer.describe(artifact.header))
        return trainer

    @property
    def offset(self) -> int:
        """The next offset to read: that of the learner that is furthest behind."""
        return min(trainer.offset for trainer in self._trainers)

    @property
    def clock_ms(self) -> int | None:
        """Event time that the learner furthest behind has reached; None before the first time mark."""
        clocks = [trainer.mark_ms for trainer in self._trainers]
        known = [clock for clock in clocks if clock is not None]
        return min(known) if len(known) == len(clocks) else None

    def samples(self) -> Iterator[Sample]:
        """What the learners have learned; may be asked from any thread."""
        for one in self._trainers:
            of = {"router": self._router.name, "learner": one.name}
            yield Sample("train_learned", "Examples learned", of, one.examples, grows=True)
            yield Sample("train_poisoned", "Examples on which the model raised", of, one.poisoned, grows=True)
            yield Sample(
                "train_unpublished", "Examples learned since the newest version", of, one.unpublished
            )
            age_s = time.monotonic() - self._published_s[one.name]
            yield Sample(
                "train_version_age_seconds", "Since a version was published, or the start", of, age_s
            )

    def begin(self) -> None:
        """Say what is there: a new learner's untrained model, a known one's newest version."""
        self._publish([trainer for trainer in self._trainers if trainer.minor < 0])
        self._announce(self._trainers)

    def take(self, message: Message) -> None:
        """Learn one record of the topic, or take its time mark."""
        offset = int(message.offset() or 0)
        value = message.value()
        if value is None:
            self._mark(offset, mark_time_ms(message.headers()))
            return
        try:
            example = Example.model_validate_json(value)
        except ValidationError as error:
            reason = f"no training example: {misfit(error)}"
            self._dead_letters.send(message, reason, "malformed")
            self.reach(offset + 1)
            return
        self.tell()
        for trainer in self._trainers:
            if (raised := trainer.take(offset, example)) is not None:
                self._dead_letters.send(message, f"learner '{trainer.name}' raised {raised}", "invalid")

    def _mark(self, offset: int, time_ms: int | None) -> None:
        if time_ms is None:
            self.reach(offset + 1)
            return
        every_ms = self._router.publish_ms
        crossed = [trainer for trainer in self._trainers if trainer.mark(offset, time_ms, every_ms)]
        self._publish([trainer for trainer in crossed if trainer.unpublished])
        self._announce_learned()  # at once: with the next example it would have to wait for its version

    def reach(self, offset: int) -> None:
        """There is no record left before `offset`."""
        for trainer in self._trainers:
            trainer.reach(offset)

    def tick(self) -> None:
        """Publish what is due by wall clock, and the prefixes in which there was nothing to learn."""
        self._publish([trainer for trainer in self._trainers if trainer.unpublished and self._due(trainer)])
        self._announce_learned()

    def tell(self) -> None:
        """Add what was published to the lineage, before anything more is learned.

        Looking at a model takes longer than publishing it: versions and epochs serve already meanwhile.
        """
        untold, self._untold = self._untold, []
        for trainer, header in untold:
            self._store.record(trainer.describe(header))

    def finish(self) -> None:
        """Publish what was learned since, unless versions follow time marks alone."""
        if self._every_s:
            self._publish([trainer for trainer in self._trainers if trainer.unpublished])
        self.tell()

    def _due(self, trainer: Trainer) -> bool:
        waited = time.monotonic() - self._published_s[trainer.name]
        return self._every_s > 0 and waited >= self._every_s

    def _publish(self, trainers: list[Trainer]) -> None:
        """Publish versions of several learners together: they wait for the disk at the same time."""
        if not trainers:
            return
        self.tell()
        self._durable()
        artifacts = [trainer.checkpoint() for trainer in trainers]
        list(self._writers.map(self._store.publish, artifacts))
        self._untold = [(one, artifact.header) for one, artifact in zip(trainers, artifacts, strict=True)]
        self._announce(trainers)
        for trainer in trainers:
            self._published_s[trainer.name] = time.monotonic()
            _log.info("%s@%s: %d examples", trainer.name, trainer.version, trainer.examples)

    def _announce_learned(self) -> None:
        """Say how far those are that have nothing left to publish."""
        self._announce([trainer for trainer in self._trainers if not trainer.unpublished])

    def _announce(self, trainers: list[Trainer]) -> None:
        """Point to what these learners have published, wherever that is news."""
        news = {
            trainer.name: ModelPointer(trainer.version, trainer.offset)
            for trainer in trainers
            if self._announced[trainer.name] != trainer.offset
        }
        if news:
            self._pointers.point(self.topic, news)
            self._announced |= {name: pointer.offset for name, pointer in news.items()}
