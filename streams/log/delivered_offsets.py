"""Where the partitions of a topic end, by what a producer is told of its deliveries."""

from __future__ import annotations

import threading

from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.reader import end_offset


class DeliveredEnds:
    """The ends of what was delivered to one topic. Told by the producer's thread, asked by any.

    Attributes
    ----------
    ends
        Partition to the next offset of what was acknowledged.
    unplaced
        Partitions with a record that is in the log at an offset Kafka did not tell: its first answer was
        lost, and the next one only says that the record is there already.
    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.ends: dict[int, int] = {}
        self.unplaced: set[int] = set()
        self._lock = threading.Lock()

    def delivered(self, partition: int, offset: int | None) -> None:
        """A record was, at this offset; None when Kafka did not tell it."""
        with self._lock:
            if offset is None:
                self.unplaced.add(partition)
            else:
                self._reach(partition, offset + 1)

    def place(self, kafka: Kafka) -> None:
        """Count what is unplaced as reaching to the end of its partition; asks Kafka for it, and blocks."""
        for partition in list(self.unplaced):
            end = end_offset(kafka, self.topic, partition, committed=False)
            with self._lock:
                self.unplaced.discard(partition)
                self._reach(partition, end)

    def _reach(self, partition: int, end: int) -> None:
        self.ends[partition] = max(end, self.ends.get(partition, 0))
