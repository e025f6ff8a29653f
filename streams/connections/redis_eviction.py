"""Whether Redis may throw away what is kept in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.schemas.errors import ServiceUnavailable
from headrace.streams.connections.redis import redis_client
from headrace.streams.connections.redis_retry import REDIS_ERRORS
from headrace.streams.connections.redis_url import RedisUrl

_TIMEOUT_S = 2.0


def eviction_warning(redis_url: str) -> str | None:
    """Return a warning when a server may evict rows and plans as its memory fills; blocks for a moment.

    None of a server that keeps everything, and of one that does not say.
    """
    try:
        with redis_client(redis_url, _TIMEOUT_S, retries=0) as client:
            nodes = {"target_nodes": "all"} if RedisUrl.parse(redis_url).kind == "cluster" else {}
            answer: Any = client.info("memory", **nodes)
    except (*REDIS_ERRORS, ServiceUnavailable):
        return None
    servers = [answer] if "maxmemory_policy" in answer else list(answer.values())
    policies = sorted({policy for server in servers if (policy := _evicting(server)) is not None})
    if not policies:
        return None
    return (
        f"Redis has maxmemory-policy {' and '.join(policies)}: as its memory fills it throws away rows of "
        "features, and plans, as it likes; set it to noeviction, and Headrace waits where memory is full"
    )


def _evicting(server: Mapping[str, Any]) -> str | None:
    """Return the policy of a server, from its INFO, if that evicts keys without a time to live.

    >>> _evicting({"maxmemory": 100, "maxmemory_policy": "allkeys-lru"})
    'allkeys-lru'
    >>> _evicting({"maxmemory": 0, "maxmemory_policy": "allkeys-lru"})
    """
    policy = str(server.get("maxmemory_policy", ""))
    return policy if server.get("maxmemory") and policy.startswith("allkeys") else None
