"""What must be so before the state of processes is thrown away: nobody may be writing it."""

from __future__ import annotations

from headrace.schemas.errors import HeadraceError
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.kafka_admin import KafkaAdmin
from headrace.streams.log.group_offsets import has_members


def refuse_running(kafka: Kafka, plan: Plan, group: str, processes: str) -> KafkaAdmin:
    """Return an admin client, unless a group has members, or the broker keeps no state at all.

    Parameters
    ----------
    group
        The consumer group.
    processes
        Who its members are, for the message.

    Raises
    ------
    HeadraceError
        When they run, or the broker is librdkafka's own.
    ServiceUnavailable
        When Kafka does not answer.
    """
    admin = KafkaAdmin(kafka)
    if admin.is_built_in():
        raise HeadraceError(
            "librdkafka's built-in broker keeps nothing when it ends: start the local stack anew instead"
        )
    if has_members(kafka, group):
        raise HeadraceError(
            f"{processes} of project '{plan.project}' run, or have ended less than a session time-out ago; "
            "stop them, and run it again"
        )
    return admin
