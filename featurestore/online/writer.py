"""The online sink: writes rows of feature views into Redis, where Feast's own online store would put them."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.featurestore.online.chunks import (
    Chunk,
    CountChunk,
    HashChunk,
    RowChunk,
    ServerCommands,
    by_server,
)
from headrace.featurestore.redis_codec.column_encoder import ViewEncoder
from headrace.featurestore.redis_codec.row_encoder import Column
from headrace.schemas.feature_specs import BatchViewSpec, StreamViewSpec
from headrace.schemas.plan import Plan
from headrace.streams.connections.redis import RedisNodes
from headrace.streams.connections.redis_retry import REDIS_ERRORS, RedisRetries
from headrace.streams.connections.redis_updates import (
    COUNT_ONCE,
    ELSEWHERE,
    WRITE_FIELDS,
    HashUpdate,
    Script,
    batch_row_script,
    row_script,
    timed_row_script,
)
from headrace.streams.progress import TWO_PARTITIONS, TWO_PARTITIONS_REMEDY, alarms_key
from headrace.streams.sinks import OnlineRows

_CHUNK_ROWS = 2000  # are packed at once
_SENT_ROWS = 8000  # before their replies are read: Redis works while the next ones are packed
_log = logging.getLogger(__name__)


class RedisOnlineSink:
    """Implements `headrace.streams.sinks.OnlineSink`.

    Parameters
    ----------
    redis_url
        See `headrace.streams.connections.redis_url`, for example ``redis://127.0.0.1:6379/0``.
    plan
        The plan, which has project, views and types.
    timeout_s
        How long replies may take, in seconds, where the URL has no ``socket_timeout``. A server that takes
        longer is away.

    Raises
    ------
    SettingsError
        When the URL cannot be used.
    """

    def __init__(self, redis_url: str, plan: Plan, timeout_s: float = 30.0) -> None:
        self._nodes = RedisNodes(redis_url, timeout_s)
        self._timeout_s = self._nodes.timeout_s
        self._connections: dict[str, Any] = {}  # by server
        self._lock = asyncio.Lock()
        self._owners_unknown = self._nodes.clustered
        self._retries = RedisRetries("online rows", _log)
        self._plan = plan
        self._two_partitions: Counter[str] = Counter()
        self._process, self._alarms = secrets.token_hex(6), 0
        views: list[StreamViewSpec | BatchViewSpec] = [*plan.stream_views, *plan.batch_views]
        ttl_s, version = plan.online.key_ttl_s, plan.online.key_version
        rows, batch_rows = row_script(ttl_s), batch_row_script(ttl_s)
        timed_rows = timed_row_script(ttl_s, replaces_equal=True)
        self._pushed = plan.pushed_views()
        self._scripts = (
            rows,
            WRITE_FIELDS,
            COUNT_ONCE,
            *((batch_rows,) if ttl_s else ()),
            *((timed_rows,) if self._pushed else ()),
        )
        verb, batch_verb = _calling(rows), _calling(batch_rows) if ttl_s else (b"HSET",)
        self._stream_encoders = {
            view.name: ViewEncoder(plan.project, view, verb, version) for view in plan.stream_views
        }
        self._batch_encoders = {
            view.name: ViewEncoder(
                plan.project,
                view,
                _calling(timed_rows) if view.name in self._pushed else batch_verb,
                version,
            )
            for view in views
        }

    async def write(self, rows: Sequence[OnlineRows], updates: Sequence[HashUpdate]) -> None:
        """Store rows of stream views, then the updates that follow from the same prefixes.

        A row that stands for a later prefix stays. Waits and retries for as long as Redis cannot take them.
        Takes two round trips, because a row that Redis refused must not be reported as stored.

        Parameters
        ----------
        rows
            In the order in which they are to be written.
        updates
            Progress and counts.

        Raises
        ------
        ServiceUnavailable
            When Redis refuses for good, for example a wrong password.
        """
        replies = await self._store(chunk for batch in rows for chunk in self._chunks(batch))
        if elsewhere := replies[ELSEWHERE]:
            await self._alarm(self._plan.stream_view(rows[0].view).source, elsewhere)
        await self._store(HashChunk(update) for update in updates if update.fields)

    async def write_batch_view(
        self, view: str, keys: Sequence[Any], features: Sequence[Column], times_us: NDArray[np.int64]
    ) -> int:
        """Store rows of a batch view, which follow from no log and so have no provenance.

        Where rows are pushed to the view as well, one of a later event time stays. Waits, retries and raises
        as `write` does.

        Parameters
        ----------
        view
            The name of the view.
        keys, features
            Columns in the order of the view: see `column_encoder.encode_keys` and
            `column_values.encode_values`.
        times_us
            Event times, epoch microseconds, shape (n,).

        Returns
        -------
        int
            How many were written.
        """
        rows = RowChunk(self._batch_encoders[view], keys, features, times_us, None)
        replies = await self._store(rows.split(_CHUNK_ROWS))
        return replies[1] if view in self._pushed else len(rows)

    @property
    def waiting(self) -> bool:
        """Whether Redis cannot take rows at the moment, and `write` waits for it."""
        return self._retries.waiting

    @property
    def two_partitions(self) -> Mapping[str, int]:
        """Source to rows that replaced one of another partition, since this process began."""
        return dict(self._two_partitions)

    async def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            await connection.disconnect()
        await asyncio.to_thread(self._nodes.close)

    async def _alarm(self, source: str, rows: int) -> None:
        """Count rows that replaced rows of another partition of their source."""
        self._two_partitions[source] += rows
        if self._two_partitions[source] == rows:
            _log.error(
                "source '%s': one key is in two partitions, and its rows replace each other. %s",
                source,
                TWO_PARTITIONS_REMEDY,
            )
        self._alarms += 1
        key, name = alarms_key(self._plan.project), f"{TWO_PARTITIONS}|{source}"
        await self._store([CountChunk(key, name, rows, self._process, self._alarms)])

    def _chunks(self, rows: OnlineRows) -> Iterator[RowChunk]:
        time_us = np.array([rows.as_of_ms * 1000])
        provenance = (rows.partition, rows.offset, rows.as_of_ms, rows.state)
        encoder = self._stream_encoders[rows.view]
        return RowChunk(encoder, rows.keys, rows.features, time_us, provenance).split(_CHUNK_ROWS)

    async def _store(self, chunks: Iterable[Chunk]) -> Counter[int]:
        """Store chunks; return how often each reply was given."""
        replies: Counter[int] = Counter()
        async with self._lock:
            batch: list[Chunk] = []
            size = 0
            for chunk in chunks:
                batch.append(chunk)
                size += len(chunk)
                if size >= _SENT_ROWS:
                    await self._send_until_stored(batch, replies)
                    batch, size = [], 0
            if batch:
                await self._send_until_stored(batch, replies)
        return replies

    async def _send_until_stored(self, chunks: Sequence[Chunk], replies: Counter[int]) -> None:
        """Send chunks, again after a failure: a row that is sent again is the row that is there."""
        while True:
            try:
                await self._send(chunks, replies)
            except asyncio.CancelledError:
                await self._disconnect()  # replies may be left in a connection
                raise
            except (*REDIS_ERRORS, OSError) as error:
                await self._disconnect()
                self._owners_unknown = self._nodes.clustered
                await asyncio.sleep(self._retries.failed(error))
            else:
                return self._retries.succeeded()

    async def _disconnect(self) -> None:
        for connection in self._connections.values():
            await connection.disconnect(nowait=True)

    async def _send(self, chunks: Sequence[Chunk], replies: Counter[int]) -> None:
        async with asyncio.timeout(self._timeout_s):
            if self._owners_unknown:
                await asyncio.to_thread(self._nodes.refresh)
                self._owners_unknown = False
            if not self._nodes.clustered:
                packed = (by_server(group, self._nodes)[0] for group in _groups(chunks))
                await self._send_to("", packed, replies)
                return
            try:
                async with asyncio.TaskGroup() as tasks:
                    for commands in by_server(chunks, self._nodes):
                        tasks.create_task(self._send_to(commands.server, [commands], replies))
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None

    async def _send_to(self, server: str, packed: Iterable[ServerCommands], replies: Counter[int]) -> None:
        connection = await self._connection(server)
        sent = 0
        for commands in packed:
            await connection.send_packed_command((commands.packed,))
            sent += commands.count
        for _ in range(sent):
            replies[await connection.read_response()] += 1

    async def _connection(self, server: str) -> Any:
        """A connection that has loaded the scripts."""
        connection = self._connections.get(server)
        if connection is None:
            connection = self._connections[server] = self._nodes.async_connection(server)
        if not connection.is_connected:
            await connection.connect()  # finds the master, where sentinels know it; sending alone does not
            for script in self._scripts:
                await connection.send_command("SCRIPT", "LOAD", script.text)
                await connection.read_response()
        return connection


def _calling(script: Script) -> tuple[bytes, ...]:
    return (b"EVALSHA", script.digest.encode(), b"1")


def _groups(chunks: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    """Group small chunks: each group that is sent is a system call."""
    group: list[Chunk] = []
    for chunk in chunks:
        group.append(chunk)
        if sum(map(len, group)) >= _CHUNK_ROWS:
            yield group
            group = []
    if group:
        yield group
