"""The online store of ``feature_store.yaml``: what is obeyed, what is refused, and where Feast would read."""

from __future__ import annotations

from typing import Any

import headrace.featurestore.feast_repo.fast_import  # noqa: F401  (before anything of Feast)

# isort: split
from feast.infra.online_stores.redis import RedisOnlineStore
from feast.repo_config import RepoConfig

from headrace.schemas.numbers import MOST_SECONDS
from headrace.schemas.plan import OnlineStoreSpec
from headrace.streams.connections.redis_url import RedisUrl

_KINDS = {"redis": "server", "redis_cluster": "cluster", "redis_sentinel": "sentinel"}
_LOOPBACK = {"localhost": "127.0.0.1", "::1": "127.0.0.1"}
_PORT = 6379
Fault = tuple[str, str, str]  # key, problem and remedy


def online_spec(config: RepoConfig) -> OnlineStoreSpec:
    """Return how rows are kept, of a configuration without faults."""
    return OnlineStoreSpec(
        key_ttl_s=_options(config).get("key_ttl_seconds") or 0,
        key_version=config.entity_key_serialization_version,
    )


def online_faults(config: RepoConfig) -> list[Fault]:
    """Return what cannot be obeyed, each with its remedy."""
    faults = []
    if config.entity_key_serialization_version not in (2, 3):
        faults.append(
            (
                "entity_key_serialization_version",
                f"entity_key_serialization_version is {config.entity_key_serialization_version}",
                "Set it to 3; 2 is read and written, too",
            )
        )
    ttl_s = _options(config).get("key_ttl_seconds") or 0
    if not 0 <= ttl_s <= MOST_SECONDS:
        faults.append(
            (
                "key_ttl_seconds",
                f"key_ttl_seconds is {ttl_s}, with which Redis would keep no row",
                f"Give whole seconds from 1 to {MOST_SECONDS}, or take it out: rows are kept for ever",
            )
        )
    return faults


def feast_reads_elsewhere(config: RepoConfig, redis_url: str) -> str | None:
    """Say that Feast's own client would not find the rows that are written to a Redis; None where it would.

    Parameters
    ----------
    redis_url
        Where Headrace writes; see `headrace.streams.connections.redis_url`.
    """
    ours = RedisUrl.parse(redis_url)
    kind, options = _kind(config), _options(config)
    if kind != "redis":
        named = f"online store '{kind}'" if kind else "no online store"
        return (
            f"it has {named}, and Headrace keeps rows in Redis alone: `headrace up` brings a Redis of its "
            "own, other commands use the one of the setting `redis` (HEADRACE_REDIS). The SDK reads there; "
            f"for Feast's own client to read there as well, write online_store: {_wanted(ours)}"
        )
    theirs = _place(options)
    if theirs == _place_of(ours):
        return None
    return (
        f"online_store is {_text(theirs)}, and Headrace writes to {_text(_place_of(ours))}, by the setting "
        "`redis` (HEADRACE_REDIS). Unless these are two names of one database, Feast's own client does not "
        f"find the rows: write online_store: {_wanted(ours)}"
    )


def _kind(config: RepoConfig) -> str | None:
    online = config.online_config
    return online.get("type") if isinstance(online, dict) else online


def _options(config: RepoConfig) -> dict[str, Any]:
    """The keys of a Redis online store."""
    online = config.online_config
    return dict(online) if isinstance(online, dict) and online.get("type") == "redis" else {}


def _place(options: dict[str, Any]) -> tuple[str, frozenset[tuple[str, int]], int, str]:
    """Kind, nodes, database and name of the master, as Feast reads them."""
    kind = _KINDS[options.get("redis_type", "redis")]
    text = options.get("connection_string", f"localhost:{_PORT}")
    nodes, parameters = RedisOnlineStore._parse_connection_string(text)
    where = frozenset((_host(node["host"]), int(node.get("port", _PORT))) for node in nodes)
    database = 0 if kind == "cluster" else int(parameters.get("db", 0))
    master = options.get("sentinel_master", "mymaster") if kind == "sentinel" else ""
    return kind, where, database, master


def _place_of(url: RedisUrl) -> tuple[str, frozenset[tuple[str, int]], int, str]:
    where = frozenset((_host(host), port) for host, port in url.nodes)
    return url.kind, where, int(url.options.get("db", 0)), url.service if url.kind == "sentinel" else ""


def _host(name: str) -> str:
    return _LOOPBACK.get(name, name)


def _text(place: tuple[str, frozenset[tuple[str, int]], int, str]) -> str:
    kind, nodes, database, master = place
    where = ",".join(f"{host}:{port}" for host, port in sorted(nodes)) or "a socket"
    named = {"server": "Redis", "cluster": "the cluster", "sentinel": f"the master '{master}' of"}[kind]
    return f"{named} {where}, database {database}" if kind != "cluster" else f"{named} {where}"


def _wanted(url: RedisUrl) -> str:
    """The entry of ``feature_store.yaml`` for the Redis of a URL; without its account."""
    kind = next(name for name, ours in _KINDS.items() if ours == url.kind)
    nodes = ",".join(f"{host}:{port}" for host, port in url.nodes)
    database = url.options.get("db", 0)
    text = nodes + (f",db={database}" if database else "") + (",ssl=true" if url.tls else "")
    more = "" if kind == "redis" else f", redis_type: {kind}"
    more += f", sentinel_master: {url.service}" if url.kind == "sentinel" else ""
    return f'{{type: redis{more}, connection_string: "{text}"}}'
