"""A worker as a process: `python -m tests.integration.worker_process PLAN KAFKA REDIS IDLE_MS [REGISTRY]`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from featurestore.online_writer import RedisOnlineSink
from schemas.plan import Plan
from streams.worker import Worker, WorkerConfig


def main(plan_file: str, bootstrap: str, redis_url: str, idle_ms: str, registry: str | None = None) -> None:
    logging.basicConfig(level="INFO", format="%(asctime)s %(name)s %(levelname)s %(message)s")
    plan = Plan.from_json(Path(plan_file).read_text())
    config = WorkerConfig(
        checkpoint_ms=50, idle_ms=int(idle_ms), session_timeout_s=1.5, schema_registry=registry
    )
    Worker(plan, bootstrap, RedisOnlineSink(redis_url, plan), config=config).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
