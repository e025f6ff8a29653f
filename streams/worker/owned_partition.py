"""A partition that a worker has, between two checkpoints."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from headrace.schemas.feature_specs import SourceSpec
from headrace.streams.intake.expectations import Alerts
from headrace.streams.state.partition import Entry, Shard, SourcePartition


@dataclass(frozen=True)
class Covered:
    """What a checkpoint makes durable of one partition."""

    changelog: str
    partition: int
    entries: list[Entry]
    messages: list[Any]


@dataclass
class OwnedPartition:
    """Its state, and what waits for the next checkpoint."""

    state: SourcePartition | Shard
    source: SourceSpec
    changelog: str
    messages: list[Any] = field(default_factory=list)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # a range, or a checkpoint between two ranges
    ranges: int = 0
    heard_s: float = field(default_factory=time.monotonic)  # when there was something to process last
    alerts: Alerts | None = None
    writing: asyncio.Task[None] | None = None  # of the rows of the last range

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
