"""A range is processed once its partition is restored, or read again by whoever has the partition next."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError
from typing import Any

import pytest

from headrace.streams.runtime.assignment import Assignment
from headrace.streams.runtime.restoring import Restoring

TIMEOUT_S = 30.0


class App:
    """What an assignment asks of the app: whether messages flow, and to release one."""

    def __init__(self) -> None:
        self.flows, self.released = True, []  # type: ignore[var-annotated]
        self.flow_control = self.consumer = self

    def is_active(self) -> bool:
        return self.flows

    def release(self, message: Any) -> None:
        self.released.append(message)


class Store:
    """Gives a partition when it is told to, and reads it in a thread that ends when it is abandoned."""

    def __init__(self) -> None:
        self.ready, self.reading, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.restored: list[int] = []

    async def restore(self, partition: int, restoring: Restoring) -> str:
        await asyncio.to_thread(self._read, restoring)
        self.restored.append(partition)
        return f"state of {partition}"

    def _read(self, restoring: Restoring) -> None:
        self.reading.set()
        try:
            while not self.ready.wait(0.001):
                restoring.check()
        finally:
            self.ended.set()


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def assignment(app: App, store: Store) -> Assignment[int, str]:
    return Assignment(app, store.restore)


async def ended(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, TIMEOUT_S)


async def test_a_range_waits_for_the_restore_of_its_partition(app, store, assignment) -> None:
    assignment.assign([1])
    waiting = asyncio.create_task(assignment.of("range", 1))
    await ended(store.reading)
    assert (assignment.restored(), waiting.done()) == ([], False)
    store.ready.set()
    assert await waiting == "state of 1"
    assert (assignment.restored(), app.released) == (["state of 1"], [])


async def test_a_partition_that_is_assigned_again_is_not_restored_again(store, assignment) -> None:
    store.ready.set()
    assignment.assign([1])
    await assignment.of("range", 1)
    assignment.assign([1, 2])
    await assignment.of("range", 2)
    assert store.restored == [1, 2]


async def test_a_range_is_released_when_the_flow_stops_before_its_restore_ends(
    app, store, assignment
) -> None:
    assignment.assign([1])
    waiting = asyncio.create_task(assignment.of("range", 1))
    await ended(store.reading)
    app.flows = False
    assert await waiting is None
    assert app.released == ["range"]
    store.ready.set()


async def test_a_restored_partition_takes_ranges_while_the_flow_is_stopped(app, store, assignment) -> None:
    """They are in hand: a rebalance waits for them."""
    store.ready.set()
    assignment.assign([1])
    await assignment.of("first", 1)
    app.flows = False
    assert await assignment.of("second", 1) == "state of 1"


async def test_a_revoked_partition_ends_its_restore_and_releases_its_ranges(app, store, assignment) -> None:
    assignment.assign([1])
    waiting = asyncio.create_task(assignment.of("range", 1))
    await ended(store.reading)
    assignment.revoke([1, 7])
    assert await waiting is None
    await ended(store.ended)
    assert (app.released, assignment.items(), store.restored) == (["range"], [], [])
    assert await assignment.of("late", 1) is None
    assert app.released == ["range", "late"]


async def test_a_partition_revoked_as_its_restore_ends_is_not_processed(app, assignment, store) -> None:
    assignment.assign([1])
    waiting = asyncio.create_task(assignment.of("range", 1))
    await ended(store.reading)
    (_, assigned) = assignment.items()[0]
    store.ready.set()
    await assigned.task
    assignment.revoke([1])
    assignment.assign([1])  # another restore, of what others have done since
    assert await waiting is None
    assert app.released == ["range"]


async def test_the_end_of_the_process_ends_restores_and_keeps_what_is_restored(store, assignment) -> None:
    store.ready.set()
    assignment.assign([1])
    await assignment.of("range", 1)
    store.ready.clear()
    assignment.assign([2])
    store.reading.clear()
    store.ended.clear()
    await ended(store.reading)
    assignment.abandon_restores()
    assert assignment.restored() == ["state of 1"]
    (_, assigned) = assignment.items()[1]
    with pytest.raises(asyncio.CancelledError):
        await assigned.task


def test_an_abandoned_restore_ends_where_it_looks() -> None:
    restoring = Restoring()
    restoring.check()
    restoring.abandoned = True
    with pytest.raises(CancelledError):
        restoring.check()
