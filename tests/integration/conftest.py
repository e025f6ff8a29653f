"""Workers and joins on real servers, killed when their test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.deploy.local.redis_server import RedisServer
from tests.support.join_scene import Loop, a_plan
from tests.support.worker_scene import Scene


@pytest.fixture
def own_redis(servers: None, tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that a test may stop. Where `redis_url` is its URL, that is the one processes use."""
    with RedisServer(tmp_path / "redis", persistent=True) as server:
        yield server


@pytest.fixture
def scene(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(kafka_bootstrap, redis_url, project, tmp_path)
    yield made
    made.stop()


@pytest.fixture
def loop(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Iterator[Callable[..., Loop]]:
    """Starts a join."""
    started: list[Loop] = []

    def start(duplicates: str = "first", missing: str = "negative", **more: Any) -> Loop:
        plan = a_plan(project, duplicates, missing)
        started.append(Loop(plan, kafka_bootstrap, redis_url, tmp_path, **more))
        started[-1].join.start()
        return started[-1]

    yield start
    for one in started:
        one.join.kill()
