"""A partition's state from its changelog, and how far that is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

from headrace.streams.connections.kafka import Kafka
from headrace.streams.log.reader import end_offset, read_log
from headrace.streams.state.partition import Entry, Shard, SourcePartition

_LOOK_S = 0.1


@dataclass
class Restoring:
    """How far the changelog of a partition has been read: offsets of the next record and of the end."""

    next_offset: int = 0
    end: int | None = None  # None: not known yet
    abandoned: bool = False  # nobody waits for it any more

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return 0.0 if self.end is None else min(1.0, self.next_offset / self.end) if self.end else 1.0

    def check(self) -> None:
        """End a thread that reads for nobody.

        Raises
        ------
        CancelledError
            When it has been abandoned.
        """
        if self.abandoned:
            raise CancelledError


def is_restored(task: asyncio.Task[Any]) -> bool:
    """Whether a restore has ended well; may be asked from any thread."""
    return task.done() and not task.cancelled() and task.exception() is None


async def restored_while(task: asyncio.Task[Any], wanted: Callable[[], bool]) -> bool:
    """Wait for a restore; False once it is not `wanted` any more, or abandoned."""
    while not task.done():
        if not wanted():
            return False
        await asyncio.wait([task], timeout=_LOOK_S)
    return not task.cancelled()


def restore(
    state: SourcePartition | Shard, kafka: Kafka, changelog: str, partition: int, restoring: Restoring
) -> int:
    """Read a changelog to its end into an empty state; blocks, and returns the number of its records.

    Raises
    ------
    CancelledError
        When `restoring` has been abandoned.
    ServiceUnavailable
        When the broker stops answering.
    """
    restoring.end = end_offset(kafka, changelog, partition)
    entries: list[Entry] = []
    for message in read_log(kafka, changelog, partition):
        restoring.check()
        entries.append((message.key(), message.value()))
        restoring.next_offset = message.offset() + 1
    state.restore(entries)
    return len(entries)
