"""The producer of the join: it knows where the partitions end that it writes to."""

from __future__ import annotations

from typing import Any

from streams.kafka_access import Kafka
from streams.output import LogProducer


class OffsetProducer(LogProducer):
    """A `LogProducer` that remembers the offsets of what was delivered."""

    _hears_of_all = True

    def __init__(self, kafka: Kafka) -> None:
        super().__init__(kafka)
        self._next_offsets: dict[tuple[str, int], int] = {}

    def end(self, topic: str, partition: int, known: int) -> int:
        """The end offset of a partition after the last flush, at least `known`."""
        return max(known, self._next_offsets.get((topic, partition), 0))

    def _delivered(self, error: Any, message: Any) -> None:
        super()._delivered(error, message)
        if error is None:
            where = (message.topic(), message.partition())
            self._next_offsets[where] = max(message.offset() + 1, self._next_offsets.get(where, 0))
