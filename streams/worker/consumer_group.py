"""The consumer group of a plan's workers."""

from __future__ import annotations

import hashlib

from confluent_kafka import KafkaException

from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import KafkaAdmin
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
    group = worker_group(plan)
    admin = KafkaAdmin(kafka)
    try:
        answer = admin.describe_consumer_groups([group], request_timeout=admin.timeout_s)[group].result()
    except KafkaException as error:
        if error.args[0].name() == "GROUP_ID_NOT_FOUND":
            return False
        raise admin.unavailable(error) from error
    return bool(answer.members)
