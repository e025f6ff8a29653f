"""Changelogs, read back by whoever takes a partition over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.reader import end_offset, read_log
from headrace.streams.runtime.restoring import Restoring


def changelog_messages(kafka: Kafka, topic: str, partition: int, restoring: Restoring) -> Iterator[Any]:
    """Read a changelog to its end, and note how far; records are confluent-kafka's messages. Blocks.

    A transaction that the last owner has open is waited for: what it commits belongs to the state.

    Raises
    ------
    CancelledError
        When `restoring` has been abandoned.
    ServiceUnavailable
        When the broker stops answering.
    """
    restoring.end = end_offset(kafka, topic, partition, committed=False)
    for message in read_log(kafka, topic, partition, until=restoring.end):
        restoring.check()
        yield message
        restoring.next_offset = message.offset() + 1
