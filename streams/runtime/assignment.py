"""The partitions that a member of a consumer group has, each restored before its ranges are processed.

Partitions come and go by `RangeConsumer`, in the event loop: a partition is assigned before any of its ranges
is delivered, and revoked once the ranges in hand are finished.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from headrace.streams.runtime.app import guarded
from headrace.streams.runtime.restoring import Restoring

_LOOK_S = 0.1

K = TypeVar("K", bound=Hashable)  # names a partition, or whatever else is restored as one
P = TypeVar("P")


@dataclass(frozen=True)
class Assigned(Generic[P]):
    """A partition that this member has: how far its restore is, and the task that does it."""

    restoring: Restoring
    task: asyncio.Task[P]

    @property
    def restored(self) -> P | None:
        """The partition, once its restore has ended well; may be asked from any thread."""
        ended_well = self.task.done() and not self.task.cancelled() and self.task.exception() is None
        return self.task.result() if ended_well else None

    def abandon(self) -> None:
        """End the restore: nobody waits for it any more."""
        self.restoring.abandoned = True
        self.task.cancel()


class Assignment(Generic[K, P]):
    """The partitions that a process has.

    Parameters
    ----------
    app
        The app of `headrace.streams.runtime.app.range_app` that delivers the ranges.
    restore
        Makes a partition from what is stored of it. Should end with a `CancelledError` when its `Restoring`
        is abandoned; any other error ends the process.
    """

    def __init__(self, app: Any, restore: Callable[[K, Restoring], Awaitable[P]]) -> None:
        self._app, self._restore = app, restore
        self._assigned: dict[K, Assigned[P]] = {}

    def assign(self, names: Iterable[K]) -> None:
        """Begin to restore partitions that this member was given; one that it has already stays as it is."""
        for name in names:
            if name not in self._assigned:
                restoring = Restoring()
                self._assigned[name] = Assigned(
                    restoring, asyncio.create_task(self._restored(name, restoring))
                )

    async def _restored(self, name: K, restoring: Restoring) -> P:
        return await guarded(self._restore(name, restoring))

    def revoke(self, names: Iterable[K]) -> None:
        """Give partitions up. Whatever of them is not stored yet is dropped, and a restore is abandoned."""
        for name in names:
            if (assigned := self._assigned.pop(name, None)) is not None:
                assigned.abandon()

    def drop(self, partitions: Iterable[P]) -> None:
        """Give up those of these partitions that are still here as they are: what is stored goes on without
        them, and whoever is assigned them restores it."""
        dropped = set(map(id, partitions))
        self.revoke([name for name, assigned in self.items() if id(assigned.restored) in dropped])

    def abandon_restores(self) -> None:
        """End the restores that still run, because the process ends."""
        for assigned in self._assigned.values():
            if not assigned.task.done():
                assigned.abandon()

    def items(self) -> list[tuple[K, Assigned[P]]]:
        """Every partition of this member by its name; may be asked from any thread."""
        return list(self._assigned.items())

    def restored(self) -> list[P]:
        """The partitions whose restore has ended; may be asked from any thread."""
        partitions = (assigned.restored for _, assigned in self.items())
        return [partition for partition in partitions if partition is not None]

    async def of(self, message: Any, name: K) -> P | None:
        """Wait until the partition that a range is of has been restored.

        None when the flow of messages stops first, for a rebalance or the end of the process, or when the
        partition has been revoked. Nothing waits for the range then: whoever has the partition next reads it
        again.
        """
        assigned = self._assigned.get(name)
        while assigned is not None and not assigned.task.done() and self._app.flow_control.is_active():
            await asyncio.wait([assigned.task], timeout=_LOOK_S)
        still_here = assigned is not None and self._assigned.get(name) is assigned
        partition = assigned.restored if assigned is not None and still_here else None
        if partition is None:
            self._app.consumer.release(message)
        return partition
