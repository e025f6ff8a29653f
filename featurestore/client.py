"""The SDK: features by service or by name, from Redis alone. Needs the plan, and neither Feast nor pandas.

>>> client = FeatureClient.connect("redis://127.0.0.1:6379/0", "flights")    # doctest: +SKIP
>>> client.get_online_features("delays", [{"carrier": "UA"}]).rows()         # doctest: +SKIP
[{'carrier': 'UA', 'carrier_delays__mean_1h': 12.5}]
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import redis
import redis.asyncio
from redis import exceptions
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from featurestore.plan_store import PlanStore
from featurestore.response import FeatureResponse
from featurestore.retrieval import EntityRows, Reply, Retrieval
from schemas.errors import ServiceUnavailable
from schemas.plan import Plan
from streams.progress import ProgressStore, Until

_RETRY = (exceptions.ConnectionError, exceptions.TimeoutError)


class _Retrievals:
    """Prepared requests of one plan; a request of the same features is prepared once."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._prepared: dict[tuple[str | tuple[str, ...], bool], Retrieval] = {}

    def of(self, features: str | Sequence[str], full_feature_names: bool) -> Retrieval:
        key = (features if isinstance(features, str) else tuple(features), full_feature_names)
        found = self._prepared.get(key)
        if found is None:
            found = self._prepared[key] = Retrieval(self._plan, features, full_feature_names)
        return found


class FeatureClient:
    """Reads online features. May be used by several threads.

    Parameters
    ----------
    plan
        The plan of the project.
    redis_url
        The online store.
    timeout_s
        How long a reply may take.
    """

    def __init__(self, plan: Plan, redis_url: str, timeout_s: float = 5.0) -> None:
        self.plan = plan
        self._redis = redis.Redis.from_url(
            redis_url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
        self._retrievals = _Retrievals(plan)

    @classmethod
    def connect(cls, redis_url: str, project: str, timeout_s: float = 5.0) -> FeatureClient:
        """A client for the plan that is in force.

        Raises
        ------
        PlanError
            When the project has no plan.
        ServiceUnavailable
            When Redis cannot be reached.
        """
        return cls(PlanStore(redis_url, project).load(), redis_url, timeout_s)

    def get_online_features(
        self,
        features: str | Sequence[str],
        entity_rows: EntityRows,
        full_feature_names: bool = True,
        now_ms: int | None = None,
    ) -> FeatureResponse:
        """Features of entities, all read in one round trip.

        Parameters
        ----------
        features
            Name of a feature service, or a list of ``view:feature``.
        entity_rows
            One mapping per row, or one column per join key; more than the join keys does no harm.
        full_feature_names
            Whether columns are called ``view__feature``; else ``feature``.
        now_ms
            The moment that ttl counts from, epoch milliseconds; the wall clock when None.

        Raises
        ------
        UnknownNameError
            When a service, view, feature or join key is not known.
        HeadraceError
            When a join key has a value of another type.
        ServiceUnavailable
            When Redis cannot be reached.
        """
        request = self._retrievals.of(features, full_feature_names).prepare(entity_rows)
        return request.respond(self._exchange(request.commands, request.count), _now(now_ms))

    def wait(
        self, topic: str, prefix: Mapping[int, int], until: Until = "features", timeout_s: float = 30.0
    ) -> None:
        """Block until the effects of a prefix of a topic are visible; see `ProgressStore.wait`."""
        ProgressStore(self._redis, self.plan).wait(topic, prefix, until, timeout_s)

    def close(self) -> None:
        self._redis.close()

    def __enter__(self) -> FeatureClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exchange(self, commands: bytes, count: int) -> list[Reply]:
        """Send commands and read their replies; once more on a new connection if the first one is broken."""
        pool = self._redis.connection_pool
        try:
            connection: Any = pool.get_connection()
            try:
                try:
                    return _round_trip(connection, commands, count)
                except _RETRY:
                    return _round_trip(connection, commands, count)
            finally:
                pool.release(connection)
        except exceptions.RedisError as error:
            raise _unavailable(error) from error


class AsyncFeatureClient:
    """`FeatureClient` for asyncio; the same methods, to be awaited."""

    def __init__(self, plan: Plan, redis_url: str, timeout_s: float = 5.0) -> None:
        self.plan = plan
        self._redis_url, self._timeout_s = redis_url, timeout_s
        self._pool = redis.asyncio.ConnectionPool.from_url(redis_url, retry=AsyncRetry(NoBackoff(), 0))
        self._free: list[Any] = []  # connections; the pool's own checks cost more than a lookup does
        self._retrievals = _Retrievals(plan)

    @classmethod
    async def connect(cls, redis_url: str, project: str, timeout_s: float = 5.0) -> AsyncFeatureClient:
        """A client for the plan that is in force; see `FeatureClient.connect`."""
        plan = await asyncio.to_thread(PlanStore(redis_url, project).load)
        return cls(plan, redis_url, timeout_s)

    async def get_online_features(
        self,
        features: str | Sequence[str],
        entity_rows: EntityRows,
        full_feature_names: bool = True,
        now_ms: int | None = None,
    ) -> FeatureResponse:
        """Features of entities, all read in one round trip; see `FeatureClient.get_online_features`."""
        request = self._retrievals.of(features, full_feature_names).prepare(entity_rows)
        return request.respond(await self._exchange(request.commands, request.count), _now(now_ms))

    async def wait(
        self, topic: str, prefix: Mapping[int, int], until: Until = "features", timeout_s: float = 30.0
    ) -> None:
        """Return when the effects of a prefix of a topic are visible; see `ProgressStore.wait`."""
        client = redis.Redis.from_url(self._redis_url, socket_timeout=self._timeout_s)
        try:
            await asyncio.to_thread(ProgressStore(client, self.plan).wait, topic, prefix, until, timeout_s)
        finally:
            client.close()

    async def close(self) -> None:
        for connection in self._free:
            await connection.disconnect()
        self._free.clear()

    async def __aenter__(self) -> AsyncFeatureClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _exchange(self, commands: bytes, count: int) -> list[Reply]:
        connection: Any = self._free.pop() if self._free else self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(self._timeout_s):
                try:
                    return await _async_round_trip(connection, commands, count)
                except _RETRY:
                    return await _async_round_trip(connection, commands, count)
        except TimeoutError as error:
            raise _unavailable(f"no answer within {self._timeout_s:g} s") from error
        except exceptions.RedisError as error:
            raise _unavailable(error) from error
        finally:
            self._free.append(connection)


def _round_trip(connection: Any, commands: bytes, count: int) -> list[Reply]:
    try:
        connection.send_packed_command([commands])
        return [connection.read_response() for _ in range(count)]
    except BaseException:
        connection.disconnect()  # replies may be left in it
        raise


async def _async_round_trip(connection: Any, commands: bytes, count: int) -> list[Reply]:
    try:
        await connection.send_packed_command([commands])
        return [await connection.read_response() for _ in range(count)]
    except BaseException:
        await connection.disconnect(nowait=True)  # replies may be left in it
        raise


def _now(now_ms: int | None) -> int:
    return time.time_ns() // 1_000_000 if now_ms is None else now_ms


def _unavailable(error: object) -> ServiceUnavailable:
    return ServiceUnavailable(f"online features cannot be read: {error}; see whether Redis runs at that URL")
