"""The consumer group of a plan's workers."""

from __future__ import annotations

import hashlib

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from schemas.errors import ServiceUnavailable
from schemas.plan import Plan
from streams.state_definition import definition_of

_REQUEST_S = 15.0


def worker_group(plan: Plan) -> str:
    """Its name: another definition is another group, which reads its topics from the beginning."""
    definitions = sorted(definition_of(plan, s) for s in plan.sources if plan.views_of(s.name))
    version = hashlib.sha256("".join(definitions).encode()).hexdigest()[:12]
    return f"headrace.{plan.project}.worker.{version}"


def workers_run(plan: Plan, bootstrap: str) -> bool:
    """Whether the group has members at the Kafka of this ``host:port``.

    Raises
    ------
    ServiceUnavailable
        When Kafka does not tell.
    """
    group = worker_group(plan)
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        answer = admin.describe_consumer_groups([group], request_timeout=_REQUEST_S)[group].result()
    except KafkaException as error:
        if error.args[0].name() == "GROUP_ID_NOT_FOUND":
            return False
        raise ServiceUnavailable(f"Kafka does not tell who is in group {group}: {error}") from error
    return bool(answer.members)
