"""The topics that a plan needs, with their partitions and settings."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.schemas.plan import Plan
from headrace.streams.runtime.internal_topics import TopicSpec, event_topics, internal_topics
from headrace.streams.runtime.topic_settings import EVENTS


def declared_topics(plan: Plan) -> list[TopicSpec]:
    """Return the event topics whose partition count the repository declares."""
    return [TopicSpec(s.topic, s.partitions, EVENTS) for s in plan.sources if s.partitions is not None]


def event_specs(
    plan: Plan, event_partitions: int, topic_partitions: Mapping[str, int] | None = None
) -> list[TopicSpec]:
    """Return the event topics of a plan as they are made where they are missing; see `ensure_topics`."""
    counts = {name: (topic_partitions or {}).get(name, event_partitions) for name in event_topics(plan)}
    counts |= {spec.name: spec.partitions for spec in declared_topics(plan)}
    return [TopicSpec(name, count, EVENTS) for name, count in counts.items()]


def all_topics(plan: Plan, event_partitions: int, topic_partitions: Mapping[str, int]) -> dict[str, int]:
    """Return every topic of the plan with its partition count, as if none existed; see `ensure_topics`."""
    counts = {spec.name: spec.partitions for spec in event_specs(plan, event_partitions, topic_partitions)}
    return counts | {spec.name: spec.partitions for spec in internal_topics(plan, counts)}
