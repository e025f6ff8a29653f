"""Records of one topic partition as they come out of its log: what is asked of all of them as columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from confluent_kafka import Message
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record. `timestamp` is the log's own, epoch milliseconds; `value` is None for a tombstone."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()

    @classmethod
    def of_message(cls, message: Message) -> LogRecord:
        """The record in a message that confluent-kafka has consumed, which is no error."""
        headers = message.headers() or []
        return cls(message.offset(), message.timestamp()[1], message.key(), message.value(), headers)


class LogRecords(Sequence[LogRecord]):
    """Records in offset order. An object for each of them is made only where it is asked for.

    Attributes
    ----------
    offsets, timestamps
        int64, shape (n,); timestamps are epoch milliseconds.
    values
        n payloads; None for a tombstone.
    """

    def __init__(
        self,
        offsets: NDArray[np.int64],
        timestamps: NDArray[np.int64],
        values: list[bytes | None],
        sources: Sequence[Any],
        record_of: Callable[[Any], LogRecord],
    ) -> None:
        self.offsets, self.timestamps, self.values = offsets, timestamps, values
        self._sources, self._record_of = sources, record_of

    @classmethod
    def of_messages(cls, messages: list[Message]) -> LogRecords:
        """What confluent-kafka has consumed, without errors among it."""
        return cls(
            np.array([message.offset() for message in messages], np.int64),
            np.array([message.timestamp()[1] for message in messages], np.int64),
            [message.value() for message in messages],
            messages,
            LogRecord.of_message,
        )

    @classmethod
    def of(cls, records: Sequence[LogRecord]) -> LogRecords:
        return cls(
            np.array([record.offset for record in records], np.int64),
            np.array([record.timestamp for record in records], np.int64),
            [record.value for record in records],
            records,
            lambda record: record,
        )

    def since(self, offset: int) -> LogRecords:
        """Those at or behind an offset."""
        first = int(np.searchsorted(self.offsets, offset))
        return self[first:] if first else self

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, at: int) -> LogRecord: ...
    @overload
    def __getitem__(self, at: slice) -> LogRecords: ...
    def __getitem__(self, at: int | slice) -> LogRecord | LogRecords:
        if isinstance(at, slice):
            offsets, timestamps, values = self.offsets[at], self.timestamps[at], self.values[at]
            return LogRecords(offsets, timestamps, values, self._sources[at], self._record_of)
        return self._record_of(self._sources[at])
