"""Connections to Redis, all made here: to a server, a cluster, or a master that sentinels know.

`redis_client` makes clients of redis-py, for commands one by one. `RedisNodes` makes plain connections, for
many commands that are packed by the caller, and knows the server that owns a key.
"""

from __future__ import annotations

from typing import Any, Protocol

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import AbstractBackoff, NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.crc import key_slot
from redis.exceptions import RedisClusterException
from redis.retry import Retry
from redis.sentinel import Sentinel

from headrace.schemas.errors import ServiceUnavailable
from headrace.streams.connections.redis_retry import pause_s
from headrace.streams.connections.redis_url import RedisUrl

RETRIES = 5  # 0.75 s of pauses


class _Pauses(AbstractBackoff):
    def compute(self, failures: int) -> float:
        return pause_s(failures)


class Connection(Protocol):
    """A synchronous connection of redis-py."""

    def connect(self) -> None: ...
    def send_packed_command(self, command: Any) -> None: ...
    def read_response(self) -> Any: ...
    def disconnect(self) -> None: ...


def redis_client(url: str | RedisUrl, timeout_s: float = 5.0, retries: int = RETRIES) -> redis.Redis:
    """Make a client for commands one by one. Safe to share among threads, and after a fork.

    Parameters
    ----------
    url
        See `headrace.streams.connections.redis_url`. Its options ``socket_timeout``,
        ``socket_connect_timeout`` and ``retries`` come before the arguments.
    timeout_s
        How long an answer may take, seconds.
    retries
        How often a command is tried again; see `headrace.streams.connections.redis_retry` for the pauses.

    Returns
    -------
    redis.Redis
        For a cluster a `RedisCluster`, which takes the same commands; keys of one pipeline may be on several
        nodes.

    Raises
    ------
    SettingsError
        When the URL cannot be used.
    ServiceUnavailable
        When no node of a cluster can be reached; other kinds connect at the first command.
    """
    where = RedisUrl.parse(url) if isinstance(url, str) else url
    options = _options(where, timeout_s)
    retry = Retry(_Pauses(), retries if where.retries is None else where.retries)
    if where.kind == "cluster":
        return _cluster(where, options, retry)  # type: ignore[return-value]
    if where.kind == "sentinel":
        return _master(where, options, retry)
    pool = redis.ConnectionPool(_sync_class(where), retry=retry, **_place(where), **options)
    return redis.Redis.from_pool(pool)


class _Cluster(RedisCluster):
    """A client of a cluster that raises a `ConnectionError` when no node answers."""

    def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().execute_command(*args, **kwargs)  # type: ignore[no-untyped-call]
        except RedisClusterException as error:
            raise redis.ConnectionError(str(error)) from error


class RedisNodes:
    """The servers behind a URL, and unshared connections to them.

    The name of a server is ``host:port`` in a cluster. Elsewhere there is one server, and its name is empty.

    Parameters
    ----------
    url
        See `headrace.streams.connections.redis_url`.
    timeout_s
        How long an answer may take, seconds, where the URL does not say.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self.url = RedisUrl.parse(url)
        self.clustered = self.url.kind == "cluster"
        self.timeout_s: float = self.url.options.get("socket_timeout", timeout_s)
        self._options = _options(self.url, timeout_s)
        self._cluster: RedisCluster | None = None
        self._pools: dict[str, Any] = {}
        self._async_pools: dict[str, Any] = {}

    def owner(self, key: bytes) -> str:
        """Return the server that owns a key, by the slots as last seen.

        Raises
        ------
        redis.ConnectionError
            When no node answers, or none owns the key.
        """
        if not self.clustered:
            return ""
        if self._cluster is None:
            self.refresh()
        assert self._cluster is not None
        try:
            return str(self._cluster.nodes_manager.get_node_from_slot(key_slot(key)).name)
        except RedisClusterException as error:
            raise redis.ConnectionError(str(error)) from error

    def refresh(self) -> None:
        """Ask the cluster which server owns which slots. Blocks.

        Raises
        ------
        redis.ConnectionError
            When no node answers.
        """
        if not self.clustered:
            return
        try:
            if self._cluster is None:
                self._cluster = _cluster(self.url, self._options, Retry(NoBackoff(), 0))
            else:
                self._cluster.nodes_manager.initialize()
        except (ServiceUnavailable, RedisClusterException) as error:
            raise redis.ConnectionError(str(error)) from error

    def connection(self, server: str) -> Connection:
        """Return a new connection, which connects when it is used."""
        pool = self._pools.get(server)
        if pool is None:
            pool = self._pools[server] = self._pool(server)
        connection: Connection = pool.make_connection()
        return connection

    def async_connection(self, server: str) -> Any:
        """Return a new connection for asyncio. Its reads have no time-out: one per request costs less."""
        pool = self._async_pools.get(server)
        if pool is None:
            pool = self._async_pools[server] = self._async_pool(server)
        return pool.make_connection()

    def close(self) -> None:
        """Close the connections that the look at a cluster has made."""
        if self._cluster is not None:
            self._cluster.close()

    def _pool(self, server: str) -> Any:
        retry = Retry(NoBackoff(), 0)
        if self.url.kind == "sentinel":
            return _master(self.url, self._options, retry).connection_pool
        return redis.ConnectionPool(
            _sync_class(self.url), retry=retry, **_place(self.url, server), **self._options
        )

    def _async_pool(self, server: str) -> Any:
        retry, where = AsyncRetry(NoBackoff(), 0), self.url
        options = {**self._options, "socket_timeout": None}
        if where.kind == "sentinel":
            sentinels = _sentinel_options(where, self._options)
            sentinel: Any = AsyncSentinel(where.nodes, sentinel_kwargs=sentinels, **_tls(where), **options)  # type: ignore[no-untyped-call]
            return sentinel.master_for(where.service, retry=retry).connection_pool
        return redis.asyncio.ConnectionPool(
            _async_class(where), retry=retry, **_place(where, server), **options
        )


def _options(where: RedisUrl, timeout_s: float) -> dict[str, Any]:
    return {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s, **where.options}


def _sync_class(where: RedisUrl) -> Any:
    if "path" in where.options:
        return redis.UnixDomainSocketConnection
    return redis.SSLConnection if where.tls else redis.Connection


def _async_class(where: RedisUrl) -> Any:
    if "path" in where.options:
        return redis.asyncio.UnixDomainSocketConnection
    return redis.asyncio.SSLConnection if where.tls else redis.asyncio.Connection


def _tls(where: RedisUrl) -> dict[str, Any]:
    return {"ssl": True} if where.tls else {}


def _place(where: RedisUrl, server: str = "") -> dict[str, Any]:
    """Return host and port of a server."""
    if not where.nodes:
        return {}
    if not server:
        return {"host": where.nodes[0][0], "port": where.nodes[0][1]}
    host, _, port = server.rpartition(":")
    return {"host": host, "port": int(port)}


def _cluster(where: RedisUrl, options: dict[str, Any], retry: Retry) -> RedisCluster:
    nodes = [ClusterNode(host, port) for host, port in where.nodes]  # type: ignore[no-untyped-call]
    try:
        return _Cluster(startup_nodes=nodes, retry=retry, **_tls(where), **options)
    except (RedisClusterException, redis.RedisError) as error:
        raise ServiceUnavailable(f"the {where} cannot be reached: {error}; see whether it runs") from error


def _master(where: RedisUrl, options: dict[str, Any], retry: Retry) -> redis.Redis:
    sentinels = _sentinel_options(where, options)
    sentinel: Any = Sentinel(where.nodes, sentinel_kwargs=sentinels, **_tls(where), **options)  # type: ignore[no-untyped-call]
    client: redis.Redis = sentinel.master_for(where.service, retry=retry)
    return client


def _sentinel_options(where: RedisUrl, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of sentinels: time-outs and certificates of the servers, not database or account."""
    shared = {name: value for name, value in options.items() if name.startswith(("socket_", "ssl_"))}
    return {**shared, **_tls(where), **where.sentinel_options}
