"""A join as a process: `python -m tests.support.join_process PLAN KAFKA REDIS ARCHIVE [CONFIG]`."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from headrace.schemas.plan import Plan
from headrace.streams.join.config import JoinConfig
from headrace.streams.join.process import JoinProcess
from tests.support.waiting import FETCH_WAIT_MS

_NEVER_MS = 3_600_000  # a slow machine is no silence


def main(plan_file: str, bootstrap: str, redis_url: str, archive: str, config: str = "{}") -> None:
    logging.basicConfig(level="INFO", format="%(asctime)s %(name)s %(levelname)s %(message)s")
    chosen = {"instance_id": "join-0", "archive": Path(archive), "idle_ms": _NEVER_MS}
    made = JoinConfig(**chosen | {"fetch_wait_ms": FETCH_WAIT_MS} | json.loads(config))
    JoinProcess(Plan.from_json(Path(plan_file).read_text()), bootstrap, redis_url, made).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
