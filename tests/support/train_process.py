"""Trains as a process: `python -m tests.support.train_process PLAN REPOSITORY KAFKA REDIS STORE CONFIG`."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from headrace.learners.models.store import ModelStore
from headrace.learners.project import load_project
from headrace.learners.training.config import TrainConfig
from headrace.learners.training.process import TrainProcess
from headrace.schemas.plan import Plan
from tests.support.waiting import FETCH_WAIT_MS

KEY = b"a key for the tests alone"


def main(plan_file: str, repository: str, bootstrap: str, redis_url: str, store: str, config: str) -> None:
    logging.basicConfig(level=logging.INFO)
    TrainProcess(
        Plan.from_json(Path(plan_file).read_text()),
        bootstrap,
        redis_url,
        ModelStore(Path(store), KEY),
        load_project(Path(repository)),
        TrainConfig(**{"fetch_wait_ms": FETCH_WAIT_MS} | json.loads(config)),
    ).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
