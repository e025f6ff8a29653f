"""What the Faust processes share: an app on the range transport, its agents, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import faust

from streams.transport import register_range_topics

log = logging.getLogger(__name__)

EXIT_FAILED = 70
_BUFFERED_RANGES = 4
_FETCH_BYTES = 4 * 1024**2  # per partition


def range_app(
    group: str,
    bootstrap: str,
    session_timeout_s: float,
    range_topics: Sequence[str],
    fetch_wait_ms: int,
    instance_id: str = "",
) -> Any:
    """A Faust app whose topics come in ranges (see `streams.transport`).

    Parameters
    ----------
    group
        Name of the consumer group.
    bootstrap
        ``host:port`` of a Kafka broker.
    session_timeout_s
        How long the group waits for a member that died.
    range_topics
        The topics its agents read. They must exist: Faust is not asked to make any.
    fetch_wait_ms
        See `streams.transport.register_range_topics`.
    instance_id
        Makes the member a static one, which takes its partitions up again without a rebalance.
    """
    register_range_topics(range_topics, fetch_wait_ms)
    return faust.App(
        group,
        broker=f"headrace://{bootstrap}",
        datadir=tempfile.mkdtemp(prefix="headrace-"),
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=True,
        stream_buffer_maxsize=_BUFFERED_RANGES,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=_FETCH_BYTES,
        consumer_group_instance_id=instance_id or None,
        broker_commit_interval=1.0,
        broker_session_timeout=session_timeout_s,
        broker_heartbeat_interval=session_timeout_s / 3.5,
    )


def add_agent(app: Any, name: str, names: Sequence[str], handle: Callable[[Any], Awaitable[None]]) -> None:
    """Have `handle` called with the message of every range of these topics; it acknowledges."""

    async def consume(stream: Any) -> None:
        async for event in stream.noack().events():
            # From before a rebalance: whoever owns the partition now reads it again.
            if event.message.generation_id == app.consumer_generation_id:
                await guarded(handle(event.message))

    app.agent(app.topic(*names, value_serializer="raw"), name=name)(consume)


def run_app(app: Any, log_level: str) -> None:
    """Block until SIGTERM or SIGINT, then raise SystemExit."""
    worker = faust.Worker(app, loglevel=log_level, override_logging=False, quiet=True)
    worker.execute_from_commandline()


async def guarded(work: Awaitable[None]) -> None:
    """What cannot be processed must not be skipped: the process ends, and a new one tries again."""
    try:
        await work
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        die(error)


def die(error: BaseException) -> None:
    """End the process at once, with everything unacknowledged left to the next one."""
    log.critical("cannot go on; exiting so that nothing is skipped", exc_info=error)
    logging.shutdown()
    os._exit(EXIT_FAILED)
