"""Records of one topic partition, read from its log: offsets, timestamps and values as columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from confluent_kafka import Message
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A record. `timestamp` is that of the log, epoch milliseconds; `value` is None for a tombstone."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()

    @classmethod
    def of_message(cls, message: Message) -> LogRecord:
        """Return the record in a message of confluent-kafka that is no error."""
        headers = message.headers() or []
        return cls(message.offset(), message.timestamp()[1], message.key(), message.value(), headers)


class LogRecords(Sequence[LogRecord]):
    """Records in offset order. A `LogRecord` is made only where one is asked for.

    Attributes
    ----------
    offsets, timestamps
        int64, shape (n,); timestamps are epoch milliseconds.
    values
        n payloads; None for a tombstone.

    Examples
    --------
    >>> records = LogRecords.of([LogRecord(n, 1_000 + n, b"k", b"v%d" % n) for n in (3, 4, 7)])
    >>> records.since(4).offsets.tolist(), records[1:].values, records[0].timestamp
    ([4, 7], [b'v4', b'v7'], 1003)
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
        """Return the records in messages of confluent-kafka, none of which is an error."""
        return cls(
            np.array([message.offset() for message in messages], np.int64),
            np.array([message.timestamp()[1] for message in messages], np.int64),
            [message.value() for message in messages],
            messages,
            LogRecord.of_message,
        )

    @classmethod
    def of(cls, records: Sequence[LogRecord]) -> LogRecords:
        """Return records that are at hand."""
        return cls(
            np.array([record.offset for record in records], np.int64),
            np.array([record.timestamp for record in records], np.int64),
            [record.value for record in records],
            records,
            lambda record: record,
        )

    def since(self, offset: int) -> LogRecords:
        """Return the records at or behind an offset."""
        first = int(np.searchsorted(self.offsets, offset))
        return self[first:] if first else self

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, row: int) -> LogRecord: ...
    @overload
    def __getitem__(self, row: slice) -> LogRecords: ...
    def __getitem__(self, row: int | slice) -> LogRecord | LogRecords:
        if isinstance(row, slice):
            offsets, timestamps, values = self.offsets[row], self.timestamps[row], self.values[row]
            return LogRecords(offsets, timestamps, values, self._sources[row], self._record_of)
        return self._record_of(self._sources[row])
