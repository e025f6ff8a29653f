"""Topics made, enlarged and altered for a test, until it shows: that is after the broker has answered."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from tests.support.waiting import PATIENCE_S, eventually


def make_topic(bootstrap: str, name: str, partitions: int, config: Mapping[str, str] | None = None) -> None:
    """Make a topic, and wait until each partition has a leader."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topic = NewTopic(name, partitions, 1, config=dict(config or {}))
    admin.create_topics([topic])[name].result(PATIENCE_S)
    _wait_until_led(admin, name, partitions)


def add_partitions(bootstrap: str, name: str, partitions: int) -> None:
    """Give a topic so many partitions in all, and wait until each has a leader."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_partitions([NewPartitions(name, partitions)])[name].result(PATIENCE_S)
    _wait_until_led(admin, name, partitions)


def alter_topic(bootstrap: str, topic: str, **settings: str) -> None:
    """Set settings of a topic, named with `_` for `.`, and wait until the broker tells them."""
    wanted = {name.replace("_", "."): value for name, value in settings.items()}
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in wanted.items()
    ]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    change = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin.incremental_alter_configs([change])[change].result(PATIENCE_S)
    asked = ConfigResource(ResourceType.TOPIC, topic)
    eventually(
        lambda: admin.describe_configs([asked])[asked].result(PATIENCE_S),
        f"topic '{topic}' to have {wanted}",
        lambda told: all(told[name].value == value for name, value in wanted.items()),
    )


def delete_records(bootstrap: str, topic: str, before: Mapping[int, int]) -> None:
    """Delete the records before an offset in each partition, as retention does; -1 is the end.

    A log takes another cleanup.policy after the broker has told it, and refuses until then.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for partition, offset in before.items():
        place = TopicPartition(topic, partition, offset)
        eventually(lambda place=place: _is_deleted(admin, place), f"records of '{topic}' to be deleted")


def partition_count(bootstrap: str, name: str) -> int:
    return len(_leaders(AdminClient({"bootstrap.servers": bootstrap}), name))


def _wait_until_led(admin: AdminClient, name: str, partitions: int) -> None:
    eventually(
        lambda: _leaders(admin, name),
        f"leaders of the {partitions} partitions of '{name}'",
        lambda leaders: len(leaders) == partitions and min(leaders) >= 0,
    )


def _leaders(admin: AdminClient, name: str) -> list[int]:
    topics = admin.list_topics(timeout=PATIENCE_S).topics
    return [partition.leader for partition in topics[name].partitions.values()] if name in topics else []


def _is_deleted(admin: AdminClient, place: TopicPartition) -> bool:
    try:
        admin.delete_records([place])[place].result(PATIENCE_S)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.POLICY_VIOLATION:
            raise
        return False
    return True
