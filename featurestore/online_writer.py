"""The online sink: rows of feature views into Redis, where Feast's own online store would put them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import redis.asyncio
from numpy.typing import NDArray
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from featurestore.redis_encoder import ViewEncoder
from featurestore.redis_rows import Column
from schemas.errors import ServiceUnavailable
from schemas.plan import BatchViewSpec, Plan, StreamViewSpec
from streams.sinks import OnlineRows

_CHUNK_ROWS = 1000
_BACKOFF_S = (0.05, 2.0)  # first and longest pause while Redis is away
# Redis is away, starting, out of memory, a replica for the moment, or cannot save: worth waiting for.
_PASSING = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.ReadOnlyError, OSError)
_PASSING_CODES = ("OOM", "MISCONF", "LOADING", "MASTERDOWN", "NOREPLICAS", "TRYAGAIN", "BUSY")
_log = logging.getLogger(__name__)


class RedisOnlineSink:
    """Implements `streams.sinks.OnlineSink`.

    Parameters
    ----------
    redis_url
        As redis-py reads it, for example ``redis://127.0.0.1:6379/0``.
    plan
        Tells project, views and types.
    timeout_s
        A server that has not answered for so long is away.
    """

    def __init__(self, redis_url: str, plan: Plan, timeout_s: float = 30.0) -> None:
        pool = redis.asyncio.ConnectionPool.from_url(
            redis_url, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 0)
        )
        self._timeout_s = timeout_s
        self._connection: Any = pool.make_connection()  # type: ignore[no-untyped-call]
        self._turn = asyncio.Lock()
        self.waiting = False  # for a Redis that cannot be reached
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
        await self._store(chunk for batch in rows for chunk in self._encode(batch))
        await self._store((self._hset(key, fields), 1) for key, fields in hashes.items() if fields)

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
        encoder = self._encoders[view]
        await self._store(
            (
                encoder.commands(
                    [column[part] for column in keys],
                    [(values[part], valid[part]) for values, valid in features],
                    times_us[part],
                    None,
                ),
                part.stop - part.start,
            )
            for part in _parts(len(times_us))
        )

    async def close(self) -> None:
        await self._connection.disconnect()

    def _encode(self, rows: OnlineRows) -> Iterator[tuple[bytes, int]]:
        encoder = self._encoders[rows.view]
        time_us = np.array([rows.as_of_ms * 1000])
        provenance = (rows.partition, rows.offset, rows.as_of_ms)
        for part in _parts(len(rows)):
            keys = [column[part] for column in rows.keys]
            features = [(values[part], valid[part]) for values, valid in rows.features]
            yield encoder.commands(keys, features, time_us, provenance), part.stop - part.start

    def _hset(self, key: str, fields: Mapping[str, str]) -> bytes:
        words = [word for item in fields.items() for word in item]
        return b"".join(self._connection.pack_command("HSET", key, *words))

    async def _store(self, chunks: Iterable[tuple[bytes, int]]) -> None:
        """Send chunks of commands, small ones together: each that is sent is a round trip."""
        async with self._turn:
            gathered: list[bytes] = []
            total = 0
            for commands, count in chunks:
                gathered.append(commands)
                total += count
                if total >= _CHUNK_ROWS:
                    await self._send_until_stored(b"".join(gathered), total)
                    gathered, total = [], 0
            if gathered:
                await self._send_until_stored(b"".join(gathered), total)

    async def _send_until_stored(self, commands: bytes, count: int) -> None:
        """HSET with the same values may be sent again, so a broken pipe needs no bookkeeping."""
        pause = _BACKOFF_S[0]
        while True:
            try:
                await self._send(commands, count)
            except (exceptions.RedisError, OSError) as error:
                await self._connection.disconnect(nowait=True)
                if not _passing(error):
                    raise ServiceUnavailable(f"Redis refuses the online rows: {error}") from error
                if not self.waiting:
                    reason = str(error) or f"no answer within {self._timeout_s:g} s"
                    _log.warning("Redis cannot take online rows (%s); waiting and trying again", reason)
                self.waiting = True
                await asyncio.sleep(pause)
                pause = min(2 * pause, _BACKOFF_S[1])
            else:
                if self.waiting:
                    _log.warning("Redis takes online rows again")
                self.waiting = False
                return

    async def _send(self, commands: bytes, count: int) -> None:
        async with asyncio.timeout(self._timeout_s):
            await self._connection.send_packed_command(commands)
            for _ in range(count):
                await self._connection.read_response()


def _parts(rows: int) -> Iterator[slice]:
    for start in range(0, rows, _CHUNK_ROWS):
        yield slice(start, min(start + _CHUNK_ROWS, rows))


def _passing(error: Exception) -> bool:
    if isinstance(error, exceptions.AuthenticationError | exceptions.AuthorizationError):
        return False
    return isinstance(error, _PASSING) or str(error).upper().startswith(_PASSING_CODES)
