"""Versions made again from the examples, whether their artifacts are kept or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headrace.learners.models.versions import PublishedVersion, read_versions
from headrace.learners.project import Project
from headrace.learners.training.trainer import Trainer
from headrace.schemas.errors import ModelError, RecordError, UnknownNameError
from headrace.schemas.plan import Plan
from headrace.schemas.records import Example, read_record
from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.reader import log_bounds, read_log

Span = tuple[int, int]  # offsets of the examples topic, the second not included


@dataclass(frozen=True)
class Replayed:
    """A version that was made again.

    Attributes
    ----------
    published
        Its record.
    digest
        Of the model that was made; that of the record when it is the same model.
    examples
        Number of examples learned.
    """

    published: PublishedVersion
    digest: str
    examples: int

    @property
    def is_same(self) -> bool:
        """Whether both are the same model, bit for bit."""
        return self.digest == self.published.digest


def replay_version(kafka: Kafka, plan: Plan, project: Project, learner: str, version: str) -> Replayed:
    """Make a version again from the examples, and compare digests.

    Raises
    ------
    UnknownNameError
        When there is no such learner or version.
    ModelError
        When it is of another definition than the plan in force has, or examples are gone.
    """
    spec = plan.learner(learner)
    lineage = {one.version: one for one in read_versions(kafka, plan.project, learner)}
    if (published := lineage.get(version)) is None:
        raise UnknownNameError(f"version of learner '{learner}'", version, [*lineage][-10:])
    if published.definition != spec.definition:
        raise ModelError(
            f"{learner}@{version} is of another definition than the plan in force: check out the repository "
            f"as it was under plan {published.plan_hash[:12]} and replay it there"
        )
    router = next(router for router in plan.routers if learner in router.arms)
    topic = plan.topics.router(router.name).examples
    spans = learned_spans(lineage, published)
    if (begin := log_bounds(kafka, topic, 0)[0]) > spans[0][0] and spans[-1][1]:
        raise ModelError(f"topic '{topic}' begins at {begin}: what was learned before is gone; restore it")
    trainer = Trainer(plan, project.learner(learner))
    for offset, example in _examples(kafka, topic, spans):
        trainer.take(offset, example)
    made = trainer.describe(trainer.checkpoint().header)
    return Replayed(published, made.digest, trainer.examples)


def learned_spans(lineage: Mapping[str, PublishedVersion], version: PublishedVersion) -> list[Span]:
    """Return what a version has learned of the examples topic, in order.

    A definition that an operator had begin from a version has learned what that one had, and what came after
    its own first version.

    Raises
    ------
    ModelError
        When the record of such a version is not there.
    """
    first = lineage.get(f"{version.major}.0")
    if first is None or first.examples == 0:
        return [(0, version.offset)]
    parent = lineage.get(first.parent or "")
    if parent is None:
        raise ModelError(
            f"{version.name}@{first.version} begins from {first.parent}, whose record is not there"
        )
    return [*learned_spans(lineage, parent), (first.offset, version.offset)]


def _examples(kafka: Kafka, topic: str, spans: list[Span]) -> Iterator[tuple[int, Example]]:
    last = spans[-1][1]
    if last == 0:
        return
    for message in read_log(kafka, topic, 0):
        offset, value = int(message.offset()), message.value()
        if offset >= last:
            return
        if value is None or not any(begin <= offset < end for begin, end in spans):
            continue
        try:
            yield offset, read_record(Example.model_validate_json, value)
        except RecordError:  # the trainer turned it away, too
            continue
