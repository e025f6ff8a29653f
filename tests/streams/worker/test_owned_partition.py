"""A checkpoint covers ranges whose rows are stored, and no others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headrace.streams.state.source_partition import SourcePartition
from headrace.streams.worker.owned_partition import OwnedPartition
from tests.support.purchases import purchases_plan
from tests.support.waiting import let_tasks_run


def owned() -> OwnedPartition:
    plan = purchases_plan()
    return OwnedPartition(SourcePartition(plan, plan.sources[0], 0), plan.sources[0], "changelog")


async def test_a_checkpoint_waits_for_the_rows_that_are_being_written() -> None:
    one, stored = owned(), asyncio.Event()
    message: Any = object()
    one.messages.append(message)
    one.writing = asyncio.create_task(stored.wait())  # type: ignore[arg-type]
    batch = asyncio.create_task(one.take_batch())
    await let_tasks_run()
    assert not batch.done()
    stored.set()
    assert (await batch).messages == [message]
    assert (await one.take_batch()).messages == []


async def test_who_gives_up_waiting_does_not_stop_the_writing() -> None:
    one, stored = owned(), asyncio.Event()
    one.writing = asyncio.create_task(stored.wait())  # type: ignore[arg-type]
    waiting = asyncio.create_task(one.wait_written())
    await let_tasks_run()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    stored.set()
    await one.wait_written()
    assert one.writing is None
