"""The consumer group of a plan's workers."""

from __future__ import annotations

import hashlib

from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.group_offsets import has_members
from headrace.streams.state.fingerprint import definition_of


def worker_group(plan: Plan) -> str:
    """Return the name of the group. Other definitions are another group, which reads from the beginning."""
    definitions = sorted(definition_of(plan, s) for s in plan.sources if plan.views_of(s.name))
    version = hashlib.sha256("".join(definitions).encode()).hexdigest()[:12]
    return f"headrace.{plan.project}.worker.{version}"


def workers_run(plan: Plan, kafka: Kafka) -> bool:
    """Whether the group has members.

    Raises
    ------
    ServiceUnavailable
        When Kafka does not answer.
    """
    return has_members(kafka, worker_group(plan))
