"""The consumer group of a project's trainers: who of them is the owner."""

from __future__ import annotations

from dataclasses import dataclass

from confluent_kafka import KafkaException

from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import KafkaAdmin


@dataclass(frozen=True)
class TrainerMember:
    """A trainer that the group counts in.

    Attributes
    ----------
    name
        Host and process id.
    is_owner
        Whether it trains; the others stand by.
    """

    name: str
    is_owner: bool


def train_group(plan: Plan) -> str:
    """Return the name of the group."""
    return f"headrace.{plan.project}.train"


def read_trainers(kafka: Kafka, plan: Plan) -> list[TrainerMember]:
    """Return the trainers of a project, the owner first; none of librdkafka's built-in broker.

    Raises
    ------
    ServiceUnavailable
        When Kafka does not answer.
    """
    group, admin = train_group(plan), KafkaAdmin(kafka)
    if admin.is_built_in():  # it does not tell
        return []
    try:
        answer = admin.describe_consumer_groups([group], request_timeout=admin.timeout_s)[group].result()
    except KafkaException as error:
        if error.args[0].name() == "GROUP_ID_NOT_FOUND":
            return []
        raise admin.unavailable(error) from error
    members = [TrainerMember(one.client_id, bool(one.assignment.topic_partitions)) for one in answer.members]
    return sorted(members, key=lambda member: (not member.is_owner, member.name))
