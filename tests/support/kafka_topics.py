"""Topics made or enlarged for a test, until consumers see them: that is after the broker has answered."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

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
