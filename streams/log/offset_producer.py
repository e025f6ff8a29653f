"""The producer of the join: transactions, and where the partitions end that it writes to."""

from __future__ import annotations

from typing import Any

from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.delivered_offsets import DeliveredEnds
from headrace.streams.log.transactions import TransactionalProducer


class OffsetProducer(TransactionalProducer):
    """A `TransactionalProducer` that remembers the offsets of what was delivered.

    They are those of records: the marker that ends a transaction, which no consumer sees, lies behind.
    """

    _hears_of_all = True

    def __init__(self, kafka: Kafka, name: str, timeout_ms: int) -> None:
        super().__init__(kafka, name, timeout_ms)
        self._topics: dict[str, DeliveredEnds] = {}

    def end(self, topic: str, partition: int, known: int) -> int:
        """The end offset of a partition after the last commit, at least `known`; blocks if it has to ask."""
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
