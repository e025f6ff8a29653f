"""Records of one topic partition, read from its log: offsets, timestamps and values as columns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message
from numpy.typing import NDArray

from headrace.schemas.event_times import EARLIEST_MS, LATEST_MS, READER_AHEAD_MS


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
        at_ms = message.timestamp()[1]
        return cls(message.offset(), at_ms, message.key(), message.value(), headers_of(message))


class LogRecords(Sequence[LogRecord]):
    """Records in offset order. A `LogRecord` is made only where one is asked for.

    Attributes
    ----------
    offsets
        int64, shape (n,).
    appended
        When each record was appended, by a clock that is trusted: int64, shape (n,), epoch milliseconds. The
        broker's where the topic has ``LogAppendTime``; else that of the producer, see
        `trusted_times`.
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
        appended: NDArray[np.int64],
        values: list[bytes | None],
        sources: Sequence[Any],
        record_of: Callable[[Any], LogRecord],
    ) -> None:
        self.offsets, self.appended, self.values = offsets, appended, values
        self._sources, self._record_of = sources, record_of

    @classmethod
    def of_messages(cls, messages: list[Message]) -> LogRecords:
        """Return the records in messages of confluent-kafka, none of which is an error."""
        return cls(
            np.array([message.offset() for message in messages], np.int64),
            _appended(messages),
            [message.value() for message in messages],
            messages,
            LogRecord.of_message,
        )

    @classmethod
    def of(cls, records: Sequence[LogRecord]) -> LogRecords:
        """Return records that are at hand."""
        return cls(
            np.array([record.offset for record in records], np.int64),
            np.array([record.timestamp for record in records], np.int64).clip(EARLIEST_MS, LATEST_MS),
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
            offsets, appended, values = self.offsets[row], self.appended[row], self.values[row]
            return LogRecords(offsets, appended, values, self._sources[row], self._record_of)
        return self._record_of(self._sources[row])


def headers_of(message: Message) -> list[tuple[str, bytes | None]]:
    """Return the headers of a record; none when a name is not UTF-8: the client cannot give them then."""
    try:
        return list(message.headers() or ())
    except (SystemError, UnicodeDecodeError):
        return []


def appended_ms(message: Message) -> int:
    """Return when a record was appended, epoch milliseconds; see `LogRecords.appended`."""
    return int(_appended([message])[0])


def trusted_times(produced_ms: NDArray[np.int64], now_ms: int) -> NDArray[np.int64]:
    """Return when records were appended, by the timestamps that their producers gave.

    A timestamp is taken as it is up to `READER_AHEAD_MS` ahead of the reader's clock. One that is further
    ahead, or negative, is none, and the reader's clock stands in for it. So the times do not depend on when
    they are read wherever the broker refuses timestamps of more than `BROKER_AHEAD_MS` ahead, as long as the
    clock of the reader is at most so much behind the broker's.

    Parameters
    ----------
    produced_ms
        Timestamps of records, shape (n,).
    now_ms
        The reader's clock.

    Examples
    --------
    >>> trusted_times(np.array([-1, 500, 60_900, 61_001]), now_ms=1_000).tolist()
    [1000, 500, 60900, 1000]
    """
    is_taken = (produced_ms >= 0) & (produced_ms <= now_ms + READER_AHEAD_MS)
    return np.where(is_taken, produced_ms, now_ms)


def _appended(messages: Sequence[Message]) -> NDArray[np.int64]:
    times = np.array([message.timestamp()[1] for message in messages], np.int64)
    if messages and messages[-1].timestamp()[0] == TIMESTAMP_LOG_APPEND_TIME:
        return times
    return trusted_times(times, time.time_ns() // 1_000_000)
