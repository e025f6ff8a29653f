"""What each process is made of: the composition root."""

from __future__ import annotations

import logging
import signal
from datetime import UTC, datetime
from pathlib import Path

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


def run_up(project_dir: Path, kafka: str, redis_url: str | None, partitions: int, port: int) -> None:
    """The local stack, until Ctrl-C or SIGTERM. Another Ctrl-C kills what has not stopped yet."""
    from deploy.stack import LocalStack

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stack = LocalStack(project_dir, kafka, redis_url, partitions, port=port)
    try:
        with stack:
            print(_told(stack), flush=True)
            stack.watch()
    except KeyboardInterrupt:
        print("stopped", flush=True)


def _told(stack: object) -> str:
    from deploy.stack import LocalStack

    assert isinstance(stack, LocalStack)
    return "\n".join(
        (
            f"project '{stack.plan.project}' runs; predictions at {stack.serve_url}, logs in {stack.data_dir / 'logs'}",
            "in other terminals:",
            f"  export HEADRACE_KAFKA={stack.bootstrap} HEADRACE_REDIS={stack.redis_url}",
            f"  headrace status {stack.settings.project_dir}",
            "Ctrl-C stops it",
        )
    )


def _begin(settings: Settings) -> tuple[redis.Redis, Plan]:
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    client, plan = current_plan(settings)
    logging.getLogger(__name__).info("project '%s', plan %s", plan.project, plan.hash[:12])
    return client, plan
