"""The online sink: rows of feature views into Redis, where Feast's own online store would put them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.featurestore.online.chunks import Chunk, HashChunk, RowChunk, by_server
from headrace.featurestore.redis_codec.column_encoder import ViewEncoder
from headrace.featurestore.redis_codec.row_encoder import Column
from headrace.schemas.feature_specs import BatchViewSpec, StreamViewSpec
from headrace.schemas.plan import Plan
from headrace.streams.connections.redis import RedisNodes
from headrace.streams.connections.redis_retry import REDIS_ERRORS, RedisRetries
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
        Tells project, views and types.
    timeout_s
        A server that has not answered for so long is away, where the URL does not say.
    """

    def __init__(self, redis_url: str, plan: Plan, timeout_s: float = 30.0) -> None:
        self._nodes = RedisNodes(redis_url, timeout_s)
        self._timeout_s = self._nodes.timeout_s
        self._connections: dict[str, Any] = {}  # by server
        self._turn = asyncio.Lock()
        self._lost = self._nodes.clustered  # whether it must be asked anew who owns what
        self._retries = RedisRetries("online rows", _log)
        views: list[StreamViewSpec | BatchViewSpec] = [*plan.stream_views, *plan.batch_views]
        self._encoders = {view.name: ViewEncoder(plan.project, view) for view in views}

    async def write(self, rows: Sequence[OnlineRows], hashes: Mapping[str, Mapping[str, str]]) -> None:
        """Store rows of stream views, and when every row is stored, what speaks of them.

        Waits and retries for as long as Redis cannot take them. Two round trips: a row that Redis refused
        must not be told of as stored.

        Parameters
        ----------
        rows
            In the order in which they are to be written.
        hashes
            Fields and values of other hashes, by key: progress and counts.

        Raises
        ------
        ServiceUnavailable
            When Redis refuses for good, for example a wrong password.
        """
        await self._store(chunk for batch in rows for chunk in self._chunks(batch))
        await self._store(HashChunk(key, fields) for key, fields in hashes.items() if fields)

    async def write_batch_view(
        self, view: str, keys: Sequence[Any], features: Sequence[Column], times_us: NDArray[np.int64]
    ) -> None:
        """Store rows of a batch view, which follow from no log and so carry no provenance.

        Parameters
        ----------
        keys, features
            Columns in the view's order: see `redis_encoder.encode_keys` and `redis_values.encode_values`.
        times_us
            Event times, epoch microseconds, shape (n,).
        """
        rows = RowChunk(self._encoders[view], keys, features, times_us, None)
        await self._store(rows.part(part) for part in _parts(len(rows)))

    @property
    def waiting(self) -> bool:
        """Whether Redis cannot take rows at the moment, and `write` waits for it."""
        return self._retries.waiting

    async def close(self) -> None:
        for connection in self._connections.values():
            await connection.disconnect()
        await asyncio.to_thread(self._nodes.close)

    def _chunks(self, batch: OnlineRows) -> Iterator[RowChunk]:
        time_us = np.array([batch.as_of_ms * 1000])
        provenance = (batch.partition, batch.offset, batch.as_of_ms)
        rows = RowChunk(self._encoders[batch.view], batch.keys, batch.features, time_us, provenance)
        return (rows.part(part) for part in _parts(len(batch)))

    async def _store(self, chunks: Iterable[Chunk]) -> None:
        async with self._turn:
            gathered: list[Chunk] = []
            total = 0
            for chunk in chunks:
                gathered.append(chunk)
                total += len(chunk)
                if total >= _SENT_ROWS:
                    await self._send_until_stored(gathered)
                    gathered, total = [], 0
            if gathered:
                await self._send_until_stored(gathered)

    async def _send_until_stored(self, chunks: Sequence[Chunk]) -> None:
        """HSET with the same values may be sent again, so a broken pipe needs no bookkeeping."""
        while True:
            try:
                await self._send(chunks)
            except asyncio.CancelledError:
                await self._disconnect()  # replies may be left in a connection
                raise
            except (*REDIS_ERRORS, OSError) as error:
                await self._disconnect()
                self._lost = self._nodes.clustered
                await asyncio.sleep(self._retries.failed(error))
            else:
                return self._retries.succeeded()

    async def _disconnect(self) -> None:
        for connection in self._connections.values():
            await connection.disconnect(nowait=True)

    async def _send(self, chunks: Sequence[Chunk]) -> None:
        async with asyncio.timeout(self._timeout_s):
            if self._lost:
                await asyncio.to_thread(self._nodes.refresh)
                self._lost = False
            if not self._nodes.clustered:
                packed = (by_server(some, self._nodes) for some in _together(chunks))
                await self._send_to("", ((commands, count) for ((_, commands, count),) in packed))
                return
            try:
                async with asyncio.TaskGroup() as group:
                    for server, commands, count in by_server(chunks, self._nodes):
                        group.create_task(self._send_to(server, [(commands, count)]))
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None

    async def _send_to(self, server: str, packed: Iterable[tuple[bytes, int]]) -> None:
        """Commands, and how many they are."""
        connection = self._connections.get(server)
        if connection is None:
            connection = self._connections[server] = self._nodes.async_connection(server)
        await connection.connect()  # which finds the master, where sentinels know it; sending alone does not
        sent = 0
        for commands, count in packed:
            await connection.send_packed_command((commands,))
            sent += count
        for _ in range(sent):
            await connection.read_response()


def _parts(rows: int) -> Iterator[slice]:
    for start in range(0, rows, _CHUNK_ROWS):
        yield slice(start, min(start + _CHUNK_ROWS, rows))


def _together(chunks: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    """Small chunks together: each that is sent is a system call."""
    some: list[Chunk] = []
    for chunk in chunks:
        some.append(chunk)
        if sum(map(len, some)) >= _CHUNK_ROWS:
            yield some
            some = []
    if some:
        yield some
