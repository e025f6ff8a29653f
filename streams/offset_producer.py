"""The producer of the join: it knows where the partitions end that it writes to."""

from __future__ import annotations

from typing import Any

from streams.kafka_access import Kafka
from streams.log_reader import end_offset
from streams.output import LogProducer


class OffsetProducer(LogProducer):
    """A `LogProducer` that remembers the offsets of what was delivered."""

    _hears_of_all = True

    def __init__(self, kafka: Kafka) -> None:
        super().__init__(kafka)
        self._kafka = kafka
        self._next_offsets: dict[tuple[str, int], int] = {}
        # Where a record is at an offset that Kafka did not tell: its first answer was lost.
        self._unplaced: set[tuple[str, int]] = set()

    def end(self, topic: str, partition: int, known: int) -> int:
        """The end offset of a partition after the last flush, at least `known`; blocks if it has to ask."""
        where = (topic, partition)
        if where in self._unplaced:
            self._reach(where, end_offset(self._kafka, topic, partition))
            self._unplaced.discard(where)
        return max(known, self._next_offsets.get(where, 0))

    def _delivered(self, error: Any, message: Any) -> None:
        super()._delivered(error, message)
        if error is not None:
            return
        where, offset = (message.topic(), message.partition()), message.offset()
        if offset is None:
            self._unplaced.add(where)
        else:
            self._reach(where, offset + 1)

    def _reach(self, where: tuple[str, int], end: int) -> None:
        self._next_offsets[where] = max(end, self._next_offsets.get(where, 0))
