"""The topics that a plan needs, with their partitions and settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from headrace.deploy.commands.topic_settings import COMPACT, COMPACT_LATER, FOREVER, KEEP, LARGE
from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import RouterSpec
from headrace.schemas.topics import RouterTopics, SourceTopics


@dataclass(frozen=True)
class TopicSpec:
    """A topic that a plan needs.

    Attributes
    ----------
    grows
        Whether partitions may be added to it: what is in it stays right.
    """

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    grows: bool = False


def event_topics(plan: Plan) -> tuple[str, ...]:
    """Return the topics that a plan reads events from."""
    return tuple(dict.fromkeys(source.topic for source in plan.sources))


def internal_topics(plan: Plan, partitions: Mapping[str, int]) -> list[TopicSpec]:
    """Return the topics that Headrace owns.

    Parameters
    ----------
    partitions
        Event topic to its partition count.
    """
    specs = [
        TopicSpec(plan.topics.dead_letters, 1, KEEP | LARGE),
        TopicSpec(plan.topics.late, 1, KEEP | LARGE),
    ]
    for source in plan.sources:
        specs += _of_source(plan.topics.source(source.name), source, partitions[source.topic])
    if plan.routers:
        specs.append(TopicSpec(plan.topics.models, 1, KEEP))
        specs.append(TopicSpec(plan.topics.train_changelog, 1, COMPACT | LARGE))
    for router in plan.routers:
        specs += _of_router(plan.topics.router(router.name), router)
    return specs


def _of_source(topics: SourceTopics, source: SourceSpec, partitions: int) -> Iterator[TopicSpec]:
    state = COMPACT | LARGE
    yield TopicSpec(topics.changelog, partitions, state, grows=True)
    if source.shards:  # another number of shards is another definition, which begins anew
        yield TopicSpec(topics.shuffle, source.shards, KEEP | LARGE, grows=True)
        yield TopicSpec(topics.shuffle_changelog, source.shards, state, grows=True)


def _of_router(topics: RouterTopics, router: RouterSpec) -> Iterator[TopicSpec]:
    yield TopicSpec(topics.predictions, router.partitions, KEEP)
    yield TopicSpec(topics.outcomes, router.partitions, KEEP)
    yield TopicSpec(topics.closings, router.partitions, KEEP | LARGE)
    yield TopicSpec(topics.join_changelog, router.partitions, COMPACT_LATER | LARGE)
    yield TopicSpec(topics.examples, 1, KEEP | LARGE)
    yield TopicSpec(topics.epochs, 1, KEEP)


def declared_topics(plan: Plan) -> list[TopicSpec]:
    """Return the event topics whose partition count the repository declares."""
    return [TopicSpec(s.topic, s.partitions, FOREVER) for s in plan.sources if s.partitions is not None]


def all_topics(plan: Plan, event_partitions: int, topic_partitions: Mapping[str, int]) -> dict[str, int]:
    """Return every topic of the plan with its partition count, as if none existed; see `ensure_topics`."""
    counts = {name: topic_partitions.get(name, event_partitions) for name in event_topics(plan)}
    counts |= {spec.name: spec.partitions for spec in declared_topics(plan)}
    return counts | {spec.name: spec.partitions for spec in internal_topics(plan, counts)}
