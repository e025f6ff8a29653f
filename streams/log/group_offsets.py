"""What a consumer group has: how far it has read, and whether it has members."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

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
_T = TypeVar("_T")


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
    asked = [TopicPartition(*place) for place in places]
    try:
        found = _answered(lambda left_s: checked(consumer.committed(asked, timeout=left_s)))
        return {(one.topic, one.partition): one.offset for one in found if one.offset >= 0}
    except KafkaException as error:
        raise ServiceUnavailable(f"Kafka does not tell how far group '{group}' is: {error}") from error
    finally:
        consumer.close()


def set_offsets(kafka: Kafka, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
    """Say how far a group without members has read of some places; what it has read of others stays.

    One request: a group is never without the offsets of others.

    Raises
    ------
    ServiceUnavailable
        When Kafka does not take them.
    """
    places = [TopicPartition(*place, offset) for place, offset in offsets.items()]
    if not places:
        return
    admin, wanted = KafkaAdmin(kafka), ConsumerGroupTopicPartitions(group, places)

    def ask(left_s: float) -> None:
        asked = admin.alter_consumer_group_offsets([wanted], request_timeout=left_s)
        checked(asked[group].result().topic_partitions)

    try:
        _answered(ask)
    except KafkaException as error:
        raise admin.unavailable(error) from error


def checked(places: list[TopicPartition]) -> list[TopicPartition]:
    """Return places of an answer, which succeeds as a whole where each of them has failed.

    Raises
    ------
    KafkaException
        The first error of a place.
    """
    for place in places:
        if place.error is not None:
            raise KafkaException(place.error)
    return places


def _answered(ask: Callable[[float], _T]) -> _T:
    """Ask until the coordinator of the group is there; `ask` is given the time that is left, in seconds."""
    deadline = time.monotonic() + REQUEST_S
    while True:
        try:
            return ask(max(deadline - time.monotonic(), 0.1))
        except KafkaException as error:
            if error.args[0].code() not in _MOVING or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_S)


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
