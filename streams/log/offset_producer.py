"""The producer of the join: transactions, and the ends of the partitions that it writes to."""

from __future__ import annotations

from typing import Any

from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.delivered_offsets import DeliveredOffsets
from headrace.streams.log.transactions import TransactionalProducer

_TURNS = 2  # a join commits as soon as there is something to commit


class OffsetProducer(TransactionalProducer):
    """A `TransactionalProducer` that keeps the offsets of delivered records.

    They are those of records: the marker that ends a transaction, which no consumer sees, lies behind.
    """

    _reports_all = True

    def __init__(self, kafka: Kafka, name: str, timeout_ms: int) -> None:
        super().__init__(kafka, name, timeout_ms, turns=_TURNS)
        self._topics: dict[str, DeliveredOffsets] = {}

    def end(self, topic: str, partition: int, known: int) -> int:
        """Return the end offset of a partition after the last commit, at least `known`.

        Blocks when Kafka has to be asked.
        """
        delivered = self._topics.get(topic)
        if delivered is None:
            return known
        if partition in delivered.unlocated:
            delivered.locate(self._kafka)
        return max(known, delivered.ends.get(partition, 0))

    def _delivered(self, error: Any, message: Any) -> None:
        super()._delivered(error, message)
        if error is None:
            topic = message.topic()
            if topic not in self._topics:
                self._topics[topic] = DeliveredOffsets(topic)
            self._topics[topic].delivered(message.partition(), message.offset())
