"""A trainer with a backlog in one of its inputs goes on with the others."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from headrace.learners.training.closings import ClosingConsumer
from tests.support.flight_learners import HOUR_MS, examples
from tests.support.train_scene import Scene, bodies, running
from tests.support.waiting import PATIENCE_S, eventually

BACKLOG, HELD_AT = 60_000, 1_000


def test_an_example_does_not_wait_for_a_backlog_of_closings(
    kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(kafka_bootstrap, redis_url, project, tmp_path)
    scene.write(scene.closings, *[HOUR_MS] * BACKLOG)
    held, go_on = threading.Event(), threading.Event()
    take = ClosingConsumer.take

    def held_once(consumer: ClosingConsumer, message: Any) -> None:
        if message.offset() == HELD_AT:
            held.set()
            assert go_on.wait(PATIENCE_S)
        take(consumer, message)

    monkeypatch.setattr(ClosingConsumer, "take", held_once)
    process = scene.process(publish_every_s=0.05)
    with running(process):
        assert held.wait(PATIENCE_S)
        assert len(scene.read(scene.closings)) == BACKLOG  # so the trainer has had the time to read ahead
        scene.write(scene.examples, *bodies(list(examples(scene.plan, 1))))
        go_on.set()
        reached = eventually(
            lambda: {
                one.topic: one.position or 0 for one in process.health().partitions if one.partition == 0
            },
            "the example",
            lambda positions: positions.get(scene.examples, 0) > 0,
        )
    assert reached[scene.closings] < 5 * HELD_AT
