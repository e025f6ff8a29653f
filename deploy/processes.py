"""What each process is made of: the composition root."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import redis

from deploy.settings import Settings
from featurestore.plan_store import PlanStore
from schemas.errors import ServiceUnavailable
from schemas.plan import Plan


def current_plan(settings: Settings) -> tuple[redis.Redis, Plan]:
    """A Redis client and the plan that was applied last.

    Raises
    ------
    PlanError
        When none was.
    ServiceUnavailable
        When Redis cannot be reached.
    """
    client = redis.Redis.from_url(settings.redis)
    try:
        return client, PlanStore(client, settings.project_name).load()
    except redis.ConnectionError as error:
        raise ServiceUnavailable(
            f"Redis at '{settings.redis}': {error}; does it run, and is HEADRACE_REDIS its URL?"
        ) from error


def run_worker(settings: Settings) -> None:
    """Event topics to the online store, until SIGTERM."""
    from featurestore.feature_log import ParquetFeatureLog
    from featurestore.online_writer import RedisOnlineSink
    from streams.worker import Worker, WorkerConfig

    _, plan = _begin(settings)
    Worker(
        plan,
        settings.kafka,
        RedisOnlineSink(settings.redis, plan),
        ParquetFeatureLog(settings.feature_log_dir, plan) if settings.feature_log else None,
        WorkerConfig(settings.checkpoint_ms, settings.session_timeout_ms / 1000, settings.log_level),
    ).run()


def run_materialize(settings: Settings, end: datetime | None) -> dict[str, int]:
    """Batch views to the online store; rows written per view."""
    from featurestore.materialize import materialize

    _, plan = current_plan(settings)
    return materialize(settings.project_dir, plan, settings.redis, end or datetime.now(UTC))


def _begin(settings: Settings) -> tuple[redis.Redis, Plan]:
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    client, plan = current_plan(settings)
    logging.getLogger(__name__).info("project '%s', plan %s", plan.project, plan.hash[:12])
    return client, plan
