"""A worker as a process.

`python -m tests.support.worker_process PLAN KAFKA REDIS IDLE_MS [REGISTRY [CONFIG]]`
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.schemas.plan import Plan
from headrace.streams.intake.udf import Transform
from headrace.streams.worker.config import WorkerConfig
from headrace.streams.worker.process import WorkerProcess
from tests.support.waiting import FETCH_WAIT_MS


def main(
    plan_file: str, bootstrap: str, redis_url: str, idle_ms: str, registry: str = "", config: str = "{}"
) -> None:
    logging.basicConfig(level="INFO", format="%(asctime)s %(process)d %(name)s %(levelname)s %(message)s")
    plan = Plan.from_json(Path(plan_file).read_text())
    chosen = {"checkpoint_ms": 50, "session_timeout_ms": 1500, "fetch_wait_ms": FETCH_WAIT_MS}
    chosen |= json.loads(config)
    made = WorkerConfig(idle_ms=int(idle_ms), schema_registry=registry or None, **chosen)
    sink = RedisOnlineSink(redis_url, plan)
    WorkerProcess(plan, bootstrap, sink, config=made, transforms=udfs(Path(plan_file), plan)).run()


def udfs(plan_file: Path, plan: Plan) -> dict[str, Transform]:
    """Those of the repository beside the plan."""
    if not any(view.udf for view in plan.stream_views):
        return {}
    from headrace.featurestore.udfs.loading import load_udfs

    return load_udfs(plan_file.with_name("repo"), plan)


if __name__ == "__main__":
    main(*sys.argv[1:])
