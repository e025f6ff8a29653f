"""What topics know of learners and routers of which the trainer's changelog has nothing: it was made anew."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property

from headrace.learners.models.store import ModelStore
from headrace.learners.models.versions import PublishedVersion, each_version
from headrace.learners.routing.propensities import propensity_fault
from headrace.learners.training.learner_state import DefinitionVersions, LearnerState
from headrace.learners.training.named_artifacts import NamedArtifact
from headrace.schemas.errors import RecordError
from headrace.schemas.plan import Plan
from headrace.schemas.records import Epoch, read_record
from headrace.schemas.router_specs import RouterSpec
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import end_offsets
from headrace.streams.log.reader import read_log


class Past:
    """Versions and epochs that were ever published; read when they are first asked for, and not held.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    plan
        The plan in force.
    """

    def __init__(self, kafka: Kafka, plan: Plan) -> None:
        self._kafka, self._plan = kafka, plan

    def major(self, learner: str) -> int:
        """Return the greatest major number that a learner had; 0: none. No number is given again."""
        return self._majors.get(learner, 0)

    def state(self, router: str, learner: str, store: ModelStore) -> LearnerState | None:
        """Return the newest version of which there is a file, to serve until as much is learned again.

        None where there is none, or where the examples do not reach as far: they are others by now. Training
        does not go on from it: it has learned what nobody knows any more to be in the topic.
        """
        if learner not in self._majors:
            return None
        newest = self._newest_there(learner, store)
        if newest is None or newest.offset > self._end(router):
            return None
        kept = (NamedArtifact(newest.version, newest.artifact),)
        versions = DefinitionVersions(
            definition=f"of another log: {newest.definition}",
            router=router,
            era=newest.major,
            minor=newest.minor,
            offset=newest.offset,
            recorded=True,
            kept=kept,
        )
        return LearnerState((versions,), newest.major, self.major(learner))

    def epoch(self, router: str) -> Epoch | None:
        """Return the last epoch of a router that may be in force; None where there is none."""
        topic = self._plan.topics.router(router).epochs
        last = None
        for message in read_log(self._kafka, topic, 0):
            with suppress(RecordError):
                epoch = read_record(Epoch.model_validate_json, message.value() or b"")
                last = last if propensity_fault(epoch.propensities) else epoch
        return last

    def closings(self, router: RouterSpec) -> list[int]:
        """Return the ends of a router's closings, by partition."""
        topic = self._plan.topics.router(router.name).closings
        ends = end_offsets(self._kafka, [topic])
        return [ends.get((topic, partition), 0) for partition in range(router.partitions)]

    def _newest_there(self, learner: str, store: ModelStore) -> PublishedVersion | None:
        there = store.named(learner)
        versions = each_version(self._kafka, self._plan.project, learner)
        kept = (version for version in versions if (version.version, version.artifact) in there)
        return max(kept, key=lambda version: (version.major, version.minor), default=None)

    @cached_property
    def _majors(self) -> dict[str, int]:
        majors: dict[str, int] = {}
        for version in each_version(self._kafka, self._plan.project):
            majors[version.name] = max(version.major, majors.get(version.name, 0))
        return majors

    def _end(self, router: str) -> int:
        topic = self._plan.topics.router(router).examples
        return end_offsets(self._kafka, [topic]).get((topic, 0), 0)
