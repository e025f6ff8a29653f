"""Ends of the partitions of a topic, by the delivery reports of a producer."""

from __future__ import annotations

import threading

from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.reader import end_offset


class DeliveredOffsets:
    """Offsets of the records that were delivered to one topic. Safe to use from any thread.

    Attributes
    ----------
    ends
        Offset behind the last record that was delivered, by partition.
    unlocated
        Partitions with a record in the log at an unknown offset: Kafka's first answer was lost, and the next
        one only says that the record is there already.

    Examples
    --------
    >>> delivered = DeliveredOffsets("clicks")
    >>> for offset in (4, 5, None):
    ...     delivered.delivered(partition=0, offset=offset)
    >>> delivered.ends, delivered.unlocated
    ({0: 6}, {0})
    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.ends: dict[int, int] = {}
        self.unlocated: set[int] = set()
        self._lock = threading.Lock()

    def delivered(self, partition: int, offset: int | None) -> None:
        """Note that a record was delivered at an offset; None when Kafka did not say which."""
        with self._lock:
            if offset is None:
                self.unlocated.add(partition)
            else:
                self._reach(partition, offset + 1)

    def locate(self, kafka: Kafka) -> None:
        """Take the end of the partition for the offset behind unlocated records. Asks Kafka, and blocks."""
        for partition in list(self.unlocated):
            end = end_offset(kafka, self.topic, partition, committed=False)
            with self._lock:
                self.unlocated.discard(partition)
                self._reach(partition, end)

    def _reach(self, partition: int, end: int) -> None:
        self.ends[partition] = max(end, self.ends.get(partition, 0))
