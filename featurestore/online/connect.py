"""What both clients do besides reading and pushing: load the plan, wait for progress, look at the clock."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from headrace.featurestore.plans.store import PlanStore
from headrace.schemas.errors import ServiceUnavailable
from headrace.streams.connections.redis import redis_client
from headrace.streams.connections.redis_retry import REDIS_ERRORS
from headrace.streams.progress import ProgressStore, Until

if TYPE_CHECKING:
    from headrace.schemas.plan import Plan


def load_plan(redis_url: str, project: str, timeout_s: float, plan_key: str | bytes | None) -> Plan:
    """Load the plan in force; parameters and errors are those of `headrace.FeatureClient.connect`."""
    key = plan_key.encode() if isinstance(plan_key, str) else plan_key
    with redis_client(redis_url, timeout_s) as client:
        return PlanStore(client, project, key).load()


def wait_for(
    redis_url: str, plan: Plan, topic: str, prefix: Mapping[int, int], until: Until, timeout_s: float
) -> None:
    """Block until a prefix of a topic is visible; see `headrace.FeatureClient.wait`."""
    try:
        with redis_client(redis_url) as client:
            ProgressStore(client, plan).wait(topic, prefix, until, timeout_s)
    except REDIS_ERRORS as error:
        raise ServiceUnavailable(
            f"progress cannot be read: {error}; see whether Redis runs at that URL"
        ) from error


def now_or(now_ms: int | None) -> int:
    """Return a time in epoch milliseconds, or that of the clock for None."""
    return time.time_ns() // 1_000_000 if now_ms is None else now_ms
