"""How far a consumer group has acknowledged what there is."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Consumer, TopicPartition

from headrace.streams.log.reader import end_offset
from tests.support.waiting import PATIENCE_S, eventually


def wait_until_acknowledged(bootstrap: str, group: str, names: Sequence[str]) -> None:
    """Wait until a group has acknowledged all there is in these topics. Nothing may be produced meanwhile
    but by the group itself."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False})
    found = consumer.list_topics(timeout=PATIENCE_S).topics
    asked = [TopicPartition(name, number) for name in names for number in found[name].partitions]

    def unacknowledged() -> dict[str, int]:
        ends = {(tp.topic, tp.partition): end_offset(bootstrap, tp.topic, tp.partition) for tp in asked}
        told = {(tp.topic, tp.partition): max(tp.offset, 0) for tp in consumer.committed(asked, PATIENCE_S)}
        return {f"{name}[{n}]": end - told[name, n] for (name, n), end in ends.items() if end > told[name, n]}

    try:
        eventually(unacknowledged, f"acknowledgements of {group}", lambda left: not left)
    finally:
        consumer.close()
