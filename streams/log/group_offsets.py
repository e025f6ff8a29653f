"""What a consumer group has: how far it has read, and whether it has members."""

from __future__ import annotations

import time
from collections.abc import Iterable

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from headrace.schemas.errors import ServiceUnavailable
from headrace.streams.connections.kafka import Kafka, client_config
from headrace.streams.connections.kafka_admin import REQUEST_S, KafkaAdmin

# The group's coordinator is another broker than the client knows, or begins its work.
_MOVING = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)
_PAUSE_S = 0.1


def committed_offsets(
    kafka: Kafka, group: str, places: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], int]:
    """Return the offsets that a group has committed, by topic and partition; none where it has not. Blocks.

    Raises
    ------
    ServiceUnavailable
        When Kafka does not answer.
    """
    consumer = Consumer(
        {**client_config(kafka), "log_level": 0, "group.id": group, "enable.auto.commit": False}
    )
    asked, deadline = list(places), time.monotonic() + REQUEST_S
    try:
        while True:
            try:
                wanted = [TopicPartition(*place) for place in asked]
                found = consumer.committed(wanted, timeout=max(deadline - time.monotonic(), 0.1))
                return {(one.topic, one.partition): one.offset for one in found if one.offset >= 0}
            except KafkaException as error:
                if error.args[0].code() not in _MOVING or time.monotonic() > deadline:
                    raise ServiceUnavailable(
                        f"Kafka does not tell how far group '{group}' is: {error}"
                    ) from error
                time.sleep(_PAUSE_S)
    finally:
        consumer.close()


def read_again(kafka: Kafka, group: str, places: Iterable[tuple[str, int]]) -> None:
    """Have a group without members read places from their beginning; what it has read of others stays.

    One request: a group is never without the offsets of others.

    Raises
    ------
    ServiceUnavailable
        When Kafka does not answer.
    """
    beginnings = [TopicPartition(*place, 0) for place in places]
    if not beginnings:
        return
    admin, wanted = KafkaAdmin(kafka), ConsumerGroupTopicPartitions(group, beginnings)
    try:
        admin.alter_consumer_group_offsets([wanted], request_timeout=admin.timeout_s)[group].result()
    except KafkaException as error:
        raise admin.unavailable(error) from error


def has_members(kafka: Kafka, group: str) -> bool:
    """Whether a group has members.

    Raises
    ------
    ServiceUnavailable
        When Kafka does not answer.
    """
    admin = KafkaAdmin(kafka)
    try:
        answer = admin.describe_consumer_groups([group], request_timeout=admin.timeout_s)[group].result()
    except KafkaException as error:
        if error.args[0].name() == "GROUP_ID_NOT_FOUND":
            return False
        raise admin.unavailable(error) from error
    return bool(answer.members)
