"""Partitions that a plan's workers have a state for: those of their changelogs."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import KafkaAdmin, partitions_of


def known_partitions(kafka: Kafka, plan: Plan) -> dict[str, int]:
    """Return how many partitions of each topic that workers read have a state; see `known_counts`.

    Raises
    ------
    UnknownNameError
        When a changelog is missing.
    ServiceUnavailable
        When Kafka does not answer.
    """
    metadata = KafkaAdmin(kafka).metadata()
    changelogs = [plan.topics.source(s.name).changelog for s in plan.sources if plan.views_of(s.name)]
    return known_counts(plan, {name: len(partitions_of(metadata, name)) for name in changelogs})


def known_counts(plan: Plan, counts: Mapping[str, int]) -> dict[str, int]:
    """Return how many partitions of each topic that workers read are processed.

    Of an event topic those that its changelog has: `headrace apply` gives it as many, and partitions that
    were added to the topic later have none. Of a shuffle those that blocks are sent to.

    Parameters
    ----------
    counts
        Number of partitions by topic; event topics whose changelog is not in it are left out.
    """
    known = {}
    for source in plan.sources:
        topics = plan.topics.source(source.name)
        if plan.views_of(source.name) and topics.changelog in counts:
            known[source.topic] = counts[topics.changelog]
            if source.shards:
                known[topics.shuffle] = source.shards
    return known
