"""A changelog from before the join committed in transactions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.schemas.errors import StateError
from headrace.schemas.marks import mark_headers
from headrace.schemas.records import Example
from headrace.schemas.topics import RouterTopics
from headrace.streams.join.changelog import POSITION_KEY
from headrace.streams.join.restore import restore_join
from tests.support.golden.golden_file import load
from tests.support.join_builders import a_prediction
from tests.support.join_scene import Loop, a_plan


@pytest.fixture
def made(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Loop:
    return Loop(a_plan(project, "first", "negative"), kafka_bootstrap, redis_url, tmp_path)


@pytest.fixture
def position() -> bytes:
    return load(Path(__file__).parents[1] / "golden" / "join.changelog.position.2.json")[0]


@pytest.fixture
def give_out(made: Loop) -> Callable[..., None]:
    """Writes an example as a join of before did, made by a partition."""
    example = Example(example_id="p", prediction=a_prediction("p", "k", 1), label=1.0, label_ts_ms=2)

    def give_out(partition: int) -> None:
        headers: Any = [("headrace.reached", b"%d:3:3" % partition)]
        made.send(made.names["examples"], 0, example.to_bytes(), headers)
        made.producer.flush()

    return give_out


def store(made: Loop, position: bytes) -> None:
    """A position, and the inputs that it is of."""
    for name, offset in json.loads(position)["next_offsets"].items():
        for _ in range(offset):
            made.send(made.names[name], 0, None, mark_headers(1))
    made.send(RouterTopics(made.plan.project, "delays").join_changelog, 0, position, key=POSITION_KEY)
    made.producer.flush()


def test_it_is_read_when_every_output_is_before_its_position(
    made: Loop, position: bytes, give_out: Callable[..., None]
) -> None:
    give_out(0)
    give_out(1)  # another partition's may lie behind
    store(made, position)
    join = restore_join(made.bootstrap, made.plan.project, made.plan.routers[0], 0)
    assert join.next_offsets == json.loads(position)["next_offsets"]


def test_it_is_refused_when_a_kill_has_left_outputs_behind_its_position(
    made: Loop, position: bytes, give_out: Callable[..., None]
) -> None:
    give_out(0)
    give_out(0)
    store(made, position)
    with pytest.raises(StateError, match=r"examples.delays\[0\] from offset 1 on.*SIGTERM"):
        restore_join(made.bootstrap, made.plan.project, made.plan.routers[0], 0)
