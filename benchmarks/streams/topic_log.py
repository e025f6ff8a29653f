"""A workload's log in Kafka: made once, then read by every peer. Kept whatever the age of its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.streams.workload import PARTITIONS, Record, Workload
from headrace.streams.log.reader import end_offset

_REQUEST_S = 30.0
_ERRORS = 3


def preload(bootstrap: str, workload: Workload) -> None:
    """Produce the log unless it is there already."""
    name = workload.topic
    known = _admin(bootstrap).list_topics(timeout=_REQUEST_S).topics
    if name in known:
        held = sum(end_offset(bootstrap, name, partition) for partition in range(PARTITIONS))
        if held == workload.records:
            return
        raise SystemExit(
            f"topic '{name}' holds {held} records of {workload.records}; delete it and run again"
        )
    create(bootstrap, {name: {"retention.ms": "-1"}})
    produce(bootstrap, name, workload.log())


def create(bootstrap: str, topics: Mapping[str, Mapping[str, str]]) -> None:
    """Make topics, name to configuration, of one partition for each of the log's."""
    new = [NewTopic(name, PARTITIONS, 1, config=dict(config)) for name, config in topics.items()]
    if new:
        admin = _admin(bootstrap)
        for made in admin.create_topics(new, operation_timeout=_REQUEST_S).values():
            made.result()


def _admin(bootstrap: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": _ERRORS})


def delete_topics(bootstrap: str, run: str) -> None:
    """Delete every topic that has the name of a run in its own, whoever made it."""
    admin = _admin(bootstrap)
    names = [name for name in admin.list_topics(timeout=_REQUEST_S).topics if run in name]
    if names:
        for deleted in admin.delete_topics(names, operation_timeout=_REQUEST_S).values():
            deleted.result()


def produce(bootstrap: str, topic: str, records: Iterable[Record]) -> None:
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 20,
            "batch.size": 1 << 20,
            "queue.buffering.max.messages": 500_000,
            "enable.idempotence": True,
            "log_level": _ERRORS,
        }
    )
    for partition, key, value in records:
        while True:
            try:
                producer.produce(topic, value, key, partition)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()
