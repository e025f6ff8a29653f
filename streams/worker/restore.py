"""The state of a worker's partition, read back from its changelog."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.streams.connections.kafka import Kafka
from headrace.streams.runtime.changelogs import changelog_messages
from headrace.streams.runtime.restoring import Restoring
from headrace.streams.state.partition import Entry, PartitionState


def restore(state: PartitionState, kafka: Kafka, changelog: str, partition: int, restoring: Restoring) -> int:
    """Read a changelog to its end into an empty state; blocks, and returns the number of its records.

    A transaction that the last owner has open is waited for: what it commits belongs to the state.

    Raises
    ------
    CancelledError
        When `restoring` has been abandoned.
    ServiceUnavailable
        When the broker stops answering.
    """
    count = 0

    def entries() -> Iterator[Entry]:
        nonlocal count
        for message in changelog_messages(kafka, changelog, partition, restoring):
            yield message.key(), message.value()
            count += 1

    state.restore(entries())
    return count
