"""A partition that a worker has, between two checkpoints."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from headrace.schemas.feature_specs import SourceSpec
from headrace.streams.intake.expectations import Alerts
from headrace.streams.state.partition import Entry, PartitionState


@dataclass(frozen=True)
class Covered:
    """What a checkpoint makes durable of one partition."""

    changelog: str
    partition: int
    entries: list[Entry]
    messages: list[Any]

    @property
    def place(self) -> tuple[str, int]:
        """Topic and partition that it reads."""
        return self.messages[0].topic, self.partition


@dataclass
class OwnedPartition:
    """Its state, and what waits for the next checkpoint."""

    state: PartitionState
    source: SourceSpec
    changelog: str
    messages: list[Any] = field(default_factory=list)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # a range, or a checkpoint between two ranges
    ranges: int = 0
    last_range_s: float = field(default_factory=time.monotonic)  # when there was something to process last
    alerts: Alerts | None = None
    writing: asyncio.Task[None] | None = None  # of the rows of the last range

    def take(self, message: Any) -> None:
        """Keep a range that has been processed until the next checkpoint."""
        self.messages.append(message)
        self.ranges += 1
        self.last_range_s = time.monotonic()
        self.state.received(now_ms())

    def report_unexpected(self) -> None:
        """Log which expectations records have failed, as `Alerts` says."""
        if self.alerts is not None:
            newest_ms = self.state.newest_event_ms
            age_ms = None if newest_ms is None else now_ms() - newest_ms
            self.alerts.look(time.monotonic(), self.state.expectation_counts, age_ms)

    async def written(self) -> None:
        """Until the rows of all ranges so far are stored, and the progress that speaks of them. Who gives up
        waiting does not stop the writing."""
        if self.writing is not None:
            await asyncio.shield(self.writing)
            self.writing = None

    async def cut(self) -> Covered:
        """What has been processed, and is readable, since the last checkpoint."""
        async with self.turn:
            await self.written()
            messages, self.messages = self.messages, []
            entries = self.state.snapshot() if messages else []
            return Covered(self.changelog, self.state.partition, entries, messages)


def now_ms() -> int:
    """The wall clock, epoch milliseconds."""
    return time.time_ns() // 1_000_000
