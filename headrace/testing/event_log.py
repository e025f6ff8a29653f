"""A stand-in for an event topic: one list of records for each partition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from headrace.schemas.feature_specs import SourceSpec
from headrace.schemas.marks import mark_headers
from headrace.streams.log.partitioner import partition_for
from headrace.streams.log.records import LogRecord
from headrace.streams.producers.event_encoder import EventEncoder, text_key
from headrace.streams.producers.event_format import EventFormat


class EventLog:
    """Events of one source, checked and encoded as `EventProducer` does, in the partition it would choose.

    Parameters
    ----------
    source
        The source of a plan.
    partitions
        How many partitions the topic has.

    Attributes
    ----------
    partitions
        One list of records for each partition, in offset order.
    """

    def __init__(self, source: SourceSpec, partitions: int = 1) -> None:
        self.partitions: list[list[LogRecord]] = [[] for _ in range(partitions)]
        # The clock of the machine means nothing to events of a test.
        self._encoder = EventEncoder(replace(EventFormat.of_source(source), max_future_ms=None), text_key)
        self._unkeyed = 0  # events so far that any partition may take

    def send(self, events: Iterable[Mapping[str, Any]], append_ms: int | None = None) -> None:
        """Append events.

        Parameters
        ----------
        events
            Mappings of field to value.
        append_ms
            When the broker takes them, epoch milliseconds; the event time of each when None. An event further
            ahead of that than the source allows is a dead letter.

        Raises
        ------
        RecordError
            When one does not fit the schema; none is appended.
        """
        for record in self._encoder.encode_batch(events):
            time_ms = record.timestamp_ms if append_ms is None else append_ms
            self._append(self._partition_of(record.key), time_ms, record.key, record.value)

    def append(self, value: bytes | None, key: bytes | None = None, append_ms: int = 0) -> None:
        """Append a record of any bytes, as a producer without a check might."""
        self._append(self._partition_of(key), append_ms, key, value)

    def mark(self, time_ms: int) -> None:
        """Append a time mark to every partition: event time has reached `time_ms`, epoch milliseconds."""
        for partition in range(len(self.partitions)):
            self._append(partition, time_ms, None, None, mark_headers(time_ms))

    def _append(
        self,
        partition: int,
        time_ms: int,
        key: bytes | None,
        value: bytes | None,
        headers: Iterable[tuple[str, bytes]] = (),
    ) -> None:
        log = self.partitions[partition]
        log.append(LogRecord(len(log), time_ms, key, value, tuple(headers)))

    def _partition_of(self, key: bytes | None) -> int:
        if key is not None:
            return partition_for(key, len(self.partitions))
        self._unkeyed += 1
        return (self._unkeyed - 1) % len(self.partitions)
