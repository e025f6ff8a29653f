"""State that every release has left is read by this code, or refused by name: never a traceback.

``tests/golden/releases/answers.json`` says what is read. Who changes an answer on purpose runs
``python -m tests.support.write_answers`` and says in decision 19 or 40 why.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.deploy.local.redis_server import RedisServer
from headrace.schemas.plan import Plan
from headrace.streams.connections.redis import redis_client
from tests.support.release_state import FOLDER, Release, names, plan_of_today, told_of

ANSWERS = json.loads((FOLDER / "answers.json").read_text())


@pytest.fixture(scope="module")
def redis_url(servers: None) -> Iterator[str]:
    """A Redis of these tests alone: the releases' keys are of one project."""
    with RedisServer() as server:
        yield server.url


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return plan_of_today(tmp_path_factory.mktemp("today"))


@pytest.mark.parametrize("name", names())
def test_what_a_release_has_left_is_read_or_refused_by_name(
    name: str, redis_url: str, plan: Plan, tmp_path: Path
) -> None:
    release = Release(name, tmp_path, redis_client(redis_url), redis_url, plan)
    assert told_of(release) == ANSWERS[name]


def test_every_release_has_its_answers() -> None:
    assert names() == sorted(ANSWERS)
