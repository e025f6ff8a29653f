"""Sums that do not fit, on the real broker: null, counted in Redis, a dead letter each, through a kill -9."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.deploy.commands.replay import objection
from headrace.deploy.commands.status import read_status, render_status
from headrace.streams.progress import counts_key
from tests.support.expected_rows import assert_rows_equal, expected_rows
from tests.support.overflowing_sums import LARGEST, judged_by_oracle, plan_of_sums, unfit_of
from tests.support.waiting import PATIENCE_S
from tests.support.window_oracle import OracleEvent
from tests.support.worker_scene import PARTITIONS, Scene, dead_letters_of

NOON_MS = 1_700_000_000_000


@pytest.fixture
def scene(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(kafka_bootstrap, redis_url, project, tmp_path)
    views = plan_of_sums().stream_views
    made.plan = made.plan.model_copy(update={"stream_views": views})
    made.plan_file.write_text(made.plan.to_json())
    yield made
    made.stop()


def produce(scene: Scene, user: int, count: int, amount: float) -> None:
    """Purchases of a user, in that user's partition."""
    log = scene.logs[user % PARTITIONS]
    for _ in range(count):
        fields = {"user": user, "shop": f"s{user}", "event_ms": NOON_MS, "amount": amount, "items": 1}
        scene.produce(user % PARTITIONS, OracleEvent(len(log), NOON_MS, fields))
    scene.flush()


def as_stored(rows: dict[Any, dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    """Rows with Float32 features rounded as the store does."""
    return {
        key: {
            name: float(np.float32(value)) if "Float32" in name and value is not None else value
            for name, value in values.items()
        }
        for key, values in rows.items()
    }


def test_a_sum_that_loses_its_quantum_is_null_counted_and_a_dead_letter_and_so_is_a_value(
    scene: Scene,
) -> None:
    worker = scene.start_worker()
    produce(scene, 0, 65, LARGEST)
    produce(scene, 1, 64, LARGEST)
    produce(scene, 3, 1, 1e300)
    scene.wait()
    scene.kill(worker)
    produce(scene, 1, 1, LARGEST)
    produce(scene, 2, 1, LARGEST)
    scene.start_worker()
    scene.wait()
    judged = [judged_by_oracle(scene.plan, log) for log in scene.logs]
    expected = expected_rows(scene.plan, judged)
    assert_rows_equal(scene.online(expected), as_stored(expected))
    unfit = unfit_of(expected)
    assert len(unfit) == 2 * 2 * 3 * 3, "two users, two types, three windows, three views"

    stored = {
        k.decode(): json.loads(v) for k, v in scene.redis.hgetall(counts_key(scene.plan.project)).items()
    }
    assert sum(v["unfit"] for k, v in stored.items() if k.startswith("sums|")) == len(unfit)
    for partition, one in enumerate(judged):
        assert stored[f"intake|{scene.plan.sources[0].topic}|{partition}"] == one.counts
        assert sum(one.counts.values()) == len(scene.logs[partition])
    assert "sums of" in render_status(scene.plan, read_status(scene.redis, scene.plan, {}))

    for running in scene.running():
        running.terminate()
        assert running.wait(PATIENCE_S) == 0
    dead_letters = dead_letters_of(scene.bootstrap, scene.plan, scene.plan.topics.dead_letters)
    (value,) = {
        one.id: one for one in dead_letters if one.kind == "invalid"
    }.values()  # a crash may repeat it
    assert "amount = 1e+300 cannot be summed" in value.reason
    sums = {one.id: one for one in dead_letters if one.kind == "overflow"}
    assert {(one.feature, one.entity) for one in sums.values()} == unfit
    assert len(sums) == len(unfit), "one dead letter of each"
    assert all(objection(one, scene.plan.project, {}) for one in sums.values()), "there is nothing to replay"
