"""The Faust app of a process: on the range transport, with its agents, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, NoReturn, TypeVar

import faust
from faust.tables import TableManager

from headrace.schemas.errors import HeadraceError
from headrace.streams.connections.kafka import Kafka, client_config, servers_of
from headrace.streams.durable_files import disk_error, is_of_the_disk
from headrace.streams.runtime.transport import Owner, RangeApp

_log = logging.getLogger(__name__)

EXIT_FAILED = 70
_BUFFERED_RANGES = 4
_FETCH_BYTES = 4 * 1024**2  # per partition
_FETCH_LEAST_BYTES = 64 * 1024  # or what has come when the wait is over: a busy broker is asked less often
_FETCHED_KIB = 16 * 1024  # ahead of what is held for the agents, all partitions together
_FETCHED_RECORDS = 8_000  # ahead, per partition
_FETCH_PAUSE_MS = 5  # librdkafka's own second would be felt when that much has been fetched

Assignor = Literal["range", "roundrobin"]
T = TypeVar("T")


def range_app(
    group: str,
    kafka: Kafka,
    session_timeout_ms: int,
    fetch_wait_ms: int,
    assignor: Assignor,
    instance_id: str = "",
    range_records: int | None = None,
    owner: Owner | None = None,
    transactional: bool = False,
) -> Any:
    """Return a Faust app whose topics come in ranges (see `headrace.streams.runtime.transport`).

    Parameters
    ----------
    group
        Name of the consumer group.
    kafka
        How to reach Kafka.
    session_timeout_ms
        How long the group waits for a member that died.
    fetch_wait_ms
        How long a broker holds back a fetch for which it has nothing. Apache Kafka answers as soon as it has
        something, the broker built into librdkafka when the time is up.
    assignor
        How partitions are shared out: ``range`` keeps partitions of one number together, ``roundrobin``
        spreads them.
    instance_id
        Makes the member a static one, which takes its partitions up again without a rebalance.
    range_records
        The most records of a range; None for `headrace.streams.runtime.range_reader.MAX_RECORDS`.
    owner
        Gets the partitions that are assigned to this member and revoked from it.
    transactional
        Whether the owner commits offsets itself, in transactions, before it acknowledges ranges.
    """
    return RangeApp(
        group,
        broker=f"headrace://{servers_of(kafka)}",
        TableManager=_NoTables,
        datadir=tempfile.mkdtemp(prefix="headrace-"),
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=True,
        stream_buffer_maxsize=_BUFFERED_RANGES,
        broker_commit_interval=1.0,
        reader_settings={
            **client_config(kafka),
            "partition.assignment.strategy": assignor,
            "session.timeout.ms": session_timeout_ms,
            "heartbeat.interval.ms": round(session_timeout_ms / 3.5),
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",  # aborted records must not become features
            "fetch.wait.max.ms": fetch_wait_ms,
            "fetch.min.bytes": _FETCH_LEAST_BYTES,
            "max.partition.fetch.bytes": _FETCH_BYTES,
            "queued.min.messages": _FETCHED_RECORDS,
            "queued.max.messages.kbytes": _FETCHED_KIB,
            "fetch.queue.backoff.ms": _FETCH_PAUSE_MS,
            **({"group.instance.id": instance_id} if instance_id else {}),
        },
        on_failure=die,
        range_records=range_records,
        owner=owner,
        transactional=transactional,
    )


class _NoTables(TableManager):  # type: ignore[misc]
    """Skips the second that Faust waits for tables to be declared; there are none."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


def add_agent(app: Any, name: str, names: Sequence[str], handle: Callable[[Any], Awaitable[None]]) -> None:
    """Call `handle` with the message of every range of these topics, for it to acknowledge."""

    async def consume(stream: Any) -> None:
        async for event in stream.noack().events():
            # From before a rebalance: whoever owns the partition now reads it again.
            if event.message.generation_id == app.consumer_generation_id:
                await guarded(handle(event.message))

    app.agent(app.topic(*names, value_serializer="raw"), name=name)(consume)


def run_app(app: Any, log_level: str) -> None:
    """Block until SIGTERM or SIGINT, then raise SystemExit."""
    worker = faust.Worker(app, loglevel=log_level, override_logging=False, quiet=True)
    try:
        worker.execute_from_commandline()
    finally:
        gc.freeze()  # Python collects several times as it ends: that took as long as there is state


async def guarded(work: Awaitable[T]) -> T:
    """Await work. An error ends the process, so that nothing is skipped and a new one tries again."""
    try:
        return await work
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        die(error)


def die(error: BaseException) -> NoReturn:
    """End the process at once, and leave everything unacknowledged to the next one.

    What Headrace refuses by name is said in one line, and so is a disk that takes no files; everything else
    with where it happened.
    """
    if isinstance(error, OSError) and is_of_the_disk(error):
        error = disk_error(error.filename or "a file", error)
    if isinstance(error, HeadraceError):
        _log.debug("where it happened", exc_info=error)
        _log.critical("cannot go on; exiting so that nothing is skipped: %s", error)
    else:
        _log.critical("cannot go on; exiting so that nothing is skipped", exc_info=error)
    logging.shutdown()
    os._exit(EXIT_FAILED)
