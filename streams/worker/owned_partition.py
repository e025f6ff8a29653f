"""A partition that a worker owns, between two checkpoints."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from headrace.schemas.feature_specs import SourceSpec
from headrace.streams.intake.expectations import Alerts
from headrace.streams.state.partition import Entry, PartitionState


@dataclass(frozen=True)
class CheckpointBatch:
    """What a checkpoint makes durable of one partition.

    Attributes
    ----------
    changelog, partition
        Where the entries go.
    entries
        Records of the changelog.
    messages
        Ranges that the entries cover, to acknowledge.
    """

    changelog: str
    partition: int
    entries: list[Entry]
    messages: list[Any]

    @property
    def topic_partition(self) -> tuple[str, int]:
        """Topic and partition of the ranges."""
        return self.messages[0].topic, self.partition


@dataclass(frozen=True)
class Silence:
    """The time without a record, by a monotonic clock: the wall clock may jump.

    Attributes
    ----------
    before_ms
        Of it, how long there was none before `began_s`.
    began_s
        Seconds of the monotonic clock.
    """

    before_ms: int = 0
    began_s: float = field(default_factory=time.monotonic)

    @classmethod
    def since(cls, last_record_ms: int | None, now_ms: int, most_ms: int) -> Silence:
        """Begin with the wall clock's time since the last record, but at most `most_ms`.

        Examples
        --------
        >>> Silence.since(1_000, now_ms=4_000, most_ms=60_000).before_ms
        3000
        >>> Silence.since(1_000, now_ms=86_401_000, most_ms=60_000).before_ms
        60000
        """
        return cls(0 if last_record_ms is None else min(max(now_ms - last_record_ms, 0), most_ms))

    @property
    def ms(self) -> int:
        """How long it has lasted, milliseconds."""
        return self.before_ms + int((time.monotonic() - self.began_s) * 1000)


@dataclass
class OwnedPartition:
    """State of a partition, and what waits for the next checkpoint.

    Attributes
    ----------
    changelog
        Topic of the changelog.
    messages
        Ranges that have been processed since the last checkpoint.
    lock
        Held while a range is processed, and while a checkpoint takes its batch between two ranges.
    ranges
        How many ranges have been processed since the partition was assigned.
    last_range_s
        When the last of them was, or records were held back, by a monotonic clock.
    silence
        How long there was no record.
    alerts
        Reports records that fail expectations; None where there are no expectations.
    writing
        Writes the rows of the last range.
    """

    state: PartitionState
    source: SourceSpec
    changelog: str
    messages: list[Any] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    ranges: int = 0
    last_range_s: float = field(default_factory=time.monotonic)
    silence: Silence = field(default_factory=Silence)
    alerts: Alerts | None = None
    writing: asyncio.Task[None] | None = None

    def keep(self, message: Any) -> None:
        """Keep a range that has been processed until the next checkpoint."""
        self.messages.append(message)
        self.ranges += 1
        self.last_range_s = time.monotonic()
        self.silence = Silence()
        self.state.received(now_ms())

    def restored(self) -> None:
        """Go on with the silence that was there when the state was written."""
        self.silence = Silence.since(self.state.last_record_ms, now_ms(), self.source.max_future_ms)

    def report_unexpected(self) -> None:
        """Log which expectations records have failed, as `Alerts` says."""
        if self.alerts is not None:
            newest_ms = self.state.newest_event_ms
            age_ms = None if newest_ms is None else now_ms() - newest_ms
            self.alerts.report(time.monotonic(), self.state.expectation_counts, age_ms)

    async def wait_written(self) -> None:
        """Wait for pending rows, and for the progress that follows them. Cancelling the wait does not cancel
        the write."""
        if self.writing is not None:
            await asyncio.shield(self.writing)
            self.writing = None

    async def take_batch(self) -> CheckpointBatch:
        """Return what has been processed, and is readable, since the last checkpoint."""
        async with self.lock:
            await self.wait_written()
            messages, self.messages = self.messages, []
            entries = self.state.snapshot() if messages else []
            return CheckpointBatch(self.changelog, self.state.partition, entries, messages)


def now_ms() -> int:
    """Return the wall clock, epoch milliseconds."""
    return time.time_ns() // 1_000_000
