"""The online sink: rows of feature views into Redis, where Feast's own online store would put them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.featurestore.online.chunks import Chunk, CountChunk, HashChunk, RowChunk, by_server
from headrace.featurestore.redis_codec.column_encoder import ViewEncoder
from headrace.featurestore.redis_codec.row_encoder import Column
from headrace.schemas.feature_specs import BatchViewSpec, StreamViewSpec
from headrace.schemas.plan import Plan
from headrace.streams.connections.redis import RedisNodes
from headrace.streams.connections.redis_retry import REDIS_ERRORS, RedisRetries
from headrace.streams.connections.redis_updates import ELSEWHERE, WRITE_FIELDS, WRITE_ROW, HashUpdate
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
        self._plan = plan
        self._alarmed: set[str] = set()  # sources
        views: list[StreamViewSpec | BatchViewSpec] = [*plan.stream_views, *plan.batch_views]
        verb = (b"EVALSHA", WRITE_ROW.digest.encode(), b"1")
        self._streamed = {view.name: ViewEncoder(plan.project, view, verb) for view in plan.stream_views}
        self._batched = {view.name: ViewEncoder(plan.project, view) for view in views}
        self.replaced: Counter[int] = Counter()  # rows so far, by what `WRITE_ROW` found there

    async def write(self, rows: Sequence[OnlineRows], updates: Sequence[HashUpdate]) -> None:
        """Store rows of stream views, and when every row is stored, what speaks of them.

        A row that stands for a later prefix stays. Waits and retries for as long as Redis cannot take them.
        Two round trips: a row that Redis refused must not be reported as stored.

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
        before = self.replaced[ELSEWHERE]
        await self._store(chunk for batch in rows for chunk in self._chunks(batch))
        if elsewhere := self.replaced[ELSEWHERE] - before:
            await self._alarm(self._plan.stream_view(rows[0].view).source, elsewhere)
        await self._store(HashChunk(update) for update in updates if update.fields)

    async def _alarm(self, source: str, rows: int) -> None:
        """Count rows that stood where another partition of their source had written."""
        if source not in self._alarmed:
            self._alarmed.add(source)
            _log.error(
                "source '%s': one key is in two partitions, and its rows replace each other. %s",
                source,
                TWO_PARTITIONS_REMEDY,
            )
        await self._store([CountChunk(alarms_key(self._plan.project), f"{TWO_PARTITIONS}|{source}", rows)])

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
        rows = RowChunk(self._batched[view], keys, features, times_us, None)
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
        provenance = (batch.partition, batch.offset, batch.as_of_ms, batch.state)
        rows = RowChunk(self._streamed[batch.view], batch.keys, batch.features, time_us, provenance)
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
        """What is sent again finds itself there, so a broken pipe needs no bookkeeping."""
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
        if not connection.is_connected:
            await connection.connect()  # finds the master, where sentinels know it; sending alone does not
            for script in (WRITE_ROW, WRITE_FIELDS):
                await connection.send_command("SCRIPT", "LOAD", script.text)
                await connection.read_response()
        sent = 0
        for commands, count in packed:
            await connection.send_packed_command((commands,))
            sent += count
        self.replaced.update([await connection.read_response() for _ in range(sent)])


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
