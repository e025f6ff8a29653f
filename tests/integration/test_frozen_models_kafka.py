"""Arms that were trained elsewhere, from the log to the answer, on real Kafka and Redis."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from headrace.learners.training.trainer import replay
from tests.support import service_scene
from tests.support.flight_learners import examples, flights
from tests.support.frozen_flights import FROZEN, write_model
from tests.support.service_scene import question, wait_until_ready
from tests.support.train_scene import Scene, bodies, running
from tests.support.waiting import eventually


@pytest.fixture
def scene(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Scene:
    write_model(tmp_path)
    return Scene(kafka_bootstrap, redis_url, project, tmp_path, FROZEN)


def test_it_serves_from_its_artifact_and_its_versions_have_metrics_and_can_be_replayed(scene: Scene) -> None:
    stream = list(examples(scene.plan, 400))
    scene.write(scene.examples, *bodies(stream))
    with running(scene.process(publish_every_s=0.05)):
        scene.await_trained(len(stream))
    for arm in ("frozen", "corrected"):
        newest = scene.lineage(arm)[-1]
        assert newest.metrics["count"] == len(stream)
        assert newest.digest == replay(scene.plan, scene.project.learner(arm), enumerate(stream), len(stream))
    assert len({version.digest for version in scene.lineage("frozen")}) == 1

    service = service_scene.Scene(scene.bootstrap, scene.redis_url, scene.plan.project, scene.folder, FROZEN)
    write_model(scene.folder, bias=5.0)  # not applied
    service.set_epoch(1, frozen=1.0)
    with service.serving() as client:
        wait_until_ready(client)
        answer = client.post("/v1/predict", json=question(ts_ms=5000)).json()
    assert answer["arm"] == "frozen"
    assert answer["score"] == pytest.approx(1.0 / (1.0 + math.exp(1.0 - 0.1 * 12.5)), abs=1e-6)
    assert answer["fallback"] is None


def test_another_file_is_another_definition_that_begins_a_major_version(scene: Scene) -> None:
    stream = list(examples(scene.plan, 50))
    scene.write(scene.examples, *bodies(stream))
    with running(scene.process(publish_every_s=0.05)):
        scene.await_trained(len(stream))
    before = scene.newest("frozen").header
    write_model(scene.folder, bias=1.0)
    scene.plan, scene.project = flights(scene.folder, scene.plan.project, FROZEN)
    with running(scene.process(publish_every_s=0.05)):
        eventually(lambda: scene.newest("frozen").header.major, "another major", lambda major: major == 2)
        eventually(lambda: scene.newest("frozen").header.examples, "all", lambda n: n == len(stream))
    assert before.major == 1
    assert scene.newest("static").header.major == 1
