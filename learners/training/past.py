"""What the lineage knows of learners of which the trainer's changelog has nothing: it was made anew."""

from __future__ import annotations

from functools import cached_property

from headrace.learners.models.store import ModelStore
from headrace.learners.models.versions import PublishedVersion, read_versions
from headrace.learners.training.learner_state import DefinitionVersions, LearnerState, NamedArtifact
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import end_offsets


class Past:
    """The versions that were ever published; read once, when they are first asked for.

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
        return max((version.major for version in self._of(learner)), default=0)

    def state(self, router: str, learner: str, store: ModelStore) -> LearnerState | None:
        """Return the newest version of which there is a file, to serve until as much is learned again.

        None where there is none, or where the examples do not reach as far: they are others by now. Training
        does not go on from it: it has learned what nobody knows any more to be in the topic.
        """
        there = [v for v in self._of(learner) if v.artifact and store.has(learner, v.version, v.artifact)]
        if not there or there[-1].offset > self._end(router):
            return None
        newest = there[-1]
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

    def _of(self, learner: str) -> list[PublishedVersion]:
        return [version for version in self._versions if version.name == learner]

    @cached_property
    def _versions(self) -> list[PublishedVersion]:
        return read_versions(self._kafka, self._plan.project)

    def _end(self, router: str) -> int:
        topic = self._plan.topics.router(router).examples
        return end_offsets(self._kafka, [topic]).get((topic, 0), 0)
