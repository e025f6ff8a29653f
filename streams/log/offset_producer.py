"""The producer of the join: it knows where the partitions end that it writes to."""

from __future__ import annotations

from typing import Any

from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.delivered_offsets import DeliveredEnds
from headrace.streams.log.producer import LogProducer


class OffsetProducer(LogProducer):
    """A `LogProducer` that remembers the offsets of what was delivered."""

    _hears_of_all = True

    def __init__(self, kafka: Kafka) -> None:
        super().__init__(kafka)
        self._topics: dict[str, DeliveredEnds] = {}

    def end(self, topic: str, partition: int, known: int) -> int:
        """The end offset of a partition after the last flush, at least `known`; blocks if it has to ask."""
        found = self._topics.get(topic)
        if found is None:
            return known
        if partition in found.unplaced:
            found.place(self._kafka)
        return max(known, found.ends.get(partition, 0))

    def _delivered(self, error: Any, message: Any) -> None:
        super()._delivered(error, message)
        if error is None:
            topic = message.topic()
            if topic not in self._topics:
                self._topics[topic] = DeliveredEnds(topic)
            self._topics[topic].delivered(message.partition(), message.offset())
