"""The router service against real Apache Kafka and real Redis."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from headrace.deploy.commands.topics import ensure_topics
from headrace.deploy.local.redis_server import RedisServer
from headrace.learners.models.inputs import Inputs
from headrace.learners.models.scoring import score
from headrace.learners.routing.draw import draw
from headrace.schemas.records import Outcome, Prediction, Provenance
from headrace.streams.log.partitioner import partition_for
from headrace.streams.progress import ProgressStore
from tests.support.flight_learners import LEARNERS
from tests.support.service_scene import AS_OF_MS, Scene, question, wait_until_ready
from tests.support.waiting import eventually


@pytest.fixture
def scene(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Scene:
    found = Scene(kafka_bootstrap, redis_url, project, tmp_path)
    ensure_topics(kafka_bootstrap, found.plan, event_partitions=1)
    return found


def test_a_prediction_is_answered_and_logged_as_served(scene: Scene) -> None:
    vector = {"static": 0.25, "streaming": 0.75}
    scene.set_epoch(4, **vector)
    with scene.serving() as client:
        wait_until_ready(client)
        answer = client.post("/v1/predict", json=question(ts_ms=5000)).json()
    key, value = scene.logged(answer["log"])
    logged = Prediction.model_validate_json(value)
    assert key == b"UA1"
    assert answer["log"]["partition"] == partition_for(b"UA1", 2)
    assert logged.features == {"delays__mean": 12.5, "delays__count": 7}
    assert logged.provenance == {"delays": Provenance(partition=3, offset=42, as_of_ms=AS_OF_MS)}
    assert (logged.key, logged.unit, logged.ts_ms, logged.epoch) == ("UA1", "UA1", 5000, 4)
    assert logged.request == {"distance": 700, "flight": "UA1"}
    assert logged.scores == dict.fromkeys(scene.plan.routers[0].arms, 0.5)
    assert logged.versions == dict.fromkeys(scene.plan.routers[0].arms, "untrained")
    assert (answer["untrained"], logged.untrained) == (True, scene.plan.routers[0].arms)
    assert (
        logged.chosen == answer["arm"] == draw(scene.plan.routers[0].arms, logged.propensities, "", 4, "UA1")
    )
    assert logged.propensity == answer["propensity"] == vector[answer["arm"]]
    assert (answer["prediction_id"], answer["fallback"], answer["logged"]) == (
        logged.prediction_id, None, True,
    )  # fmt: skip


def test_a_batch_is_answered_in_order_and_missing_rows_are_nulls(scene: Scene) -> None:
    asked = [question(f"F{n}", origin, key=f"k{n}") for n, origin in enumerate(("EWR", "JFK", "LGA"))]
    with scene.serving() as client:
        found = client.post("/v1/predict:batch", json={"requests": asked}).json()["predictions"]
    logged = [Prediction.model_validate_json(scene.logged(one["log"])[1]) for one in found]
    assert [one.key for one in logged] == ["k0", "k1", "k2"]
    assert [one.features["delays__mean"] for one in logged] == [12.5, None, None]
    assert [one.features["delays__count"] for one in logged] == [7, 9, None]
    assert [set(one.provenance) for one in logged] == [{"delays"}, {"delays"}, set()]


def test_published_models_are_swapped_in_and_told_by_progress(scene: Scene) -> None:
    progress = ProgressStore(scene.redis, scene.plan)
    member = ("serve", scene.examples, 0, "r1")
    with scene.serving() as client:
        eventually(progress.read, f"progress of {member}", lambda found: member in found)
        assert progress.read()[member].next_offset == 0
        trainers = scene.train(60)
        eventually(lambda: progress.read()[member].next_offset, "the models of 60", lambda end: end == 60)
        answer = client.post("/v1/predict", json=question()).json()
        arms = client.get("/v1/arms").json()["routers"][0]["arms"]
        assert {(arm["version"], arm["offset"]) for arm in arms} == {("1.0", 60)}
        for arm in trainers:
            scene.pointers.point(scene.examples, {arm: scene.moved(arm, 75)})
        eventually(lambda: progress.read()[member].next_offset, "the models of 75", lambda end: end == 75)
    assert member not in progress.read()
    logged = Prediction.model_validate_json(scene.logged(answer["log"])[1])
    for arm, trainer in trainers.items():
        x = Inputs(scene.plan, scene.plan.learner(arm)).of_prediction(logged)
        assert logged.scores[arm] == score(trainer.model, x)
    assert len(set(logged.scores.values())) > 3


def asked(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.post("/v1/predict", json=question()).json()
    return found


def test_a_version_that_is_not_authentic_does_not_serve_and_without_one_before_nothing_is_ready(
    scene: Scene,
) -> None:
    scene.train(10)
    (path,) = (scene.store.directory / "tree").glob("1.0-*.model")
    whole = path.read_bytes()
    path.write_bytes(b"x" + whole[1:])
    with scene.serving() as client:
        failed = 'headrace_model_load_errors_total{arm="tree"}'
        eventually(lambda: client.get("/metrics").text, "a failed load", lambda told: failed in told)
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["models"]) == (503, False)
        (fault,) = ready.json()["faults"]
        assert fault.startswith(
            "arm 'tree': model tree@1.0 is not signed with this key, or damaged; set the key"
        )
        arms = {arm["arm"]: arm for arm in client.get("/v1/arms").json()["routers"][0]["arms"]}
        assert (arms["tree"]["untrained"], arms["base"]["untrained"]) == (True, False)
        assert (arms["tree"]["examples"], arms["base"]["offset"]) == (0, 10)
        assert 'headrace_model_untrained{arm="tree"} 1.0' in client.get("/metrics").text
        scene.set_epoch(1, tree=1.0)
        answer = eventually(partial(asked, client), "an answer of the tree", lambda a: a["arm"] == "tree")
        assert (answer["version"], answer["untrained"]) == ("untrained", True)
        assert Prediction.model_validate_json(scene.logged(answer["log"])[1]).untrained == ("tree",)
        path.write_bytes(whole)
        wait_until_ready(client)
        answer = asked(client)
        assert (answer["version"], answer["untrained"]) == ("1.0", False)
        assert b"untrained" not in scene.logged(answer["log"])[1]


def test_an_arm_that_raises_is_answered_for_by_the_champion(scene: Scene) -> None:
    scene.set_epoch(1, crossed=1.0)
    asked = {"entities": {"origin": "EWR"}, "request": {"distance": None, "flight": "UA1"}}
    with scene.serving() as client:
        wait_until_ready(client)
        answer = client.post("/v1/predict", json=asked).json()
        counted = client.get("/metrics").text
    assert (answer["arm"], answer["fallback"], answer["score"]) == ("crossed", "champion", 0.5)
    logged = Prediction.model_validate_json(scene.logged(answer["log"])[1])
    assert logged.scores["crossed"] is None
    assert logged.fallback == "champion"
    assert 'headrace_arm_errors_total{arm="crossed",router="delays"} 1.0' in counted


def test_when_the_champion_raises_too_the_default_answers(
    kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path
) -> None:
    text = LEARNERS.replace('champion="streaming"', 'champion="crossed", default=0.25')
    scene = Scene(kafka_bootstrap, redis_url, project, tmp_path, text)
    ensure_topics(kafka_bootstrap, scene.plan, event_partitions=1)
    scene.set_epoch(1, crossed=1.0)
    asked = {"entities": {"origin": "EWR"}, "request": {"distance": None, "flight": "UA1"}}
    with scene.serving() as client:
        wait_until_ready(client)
        answer = client.post("/v1/predict", json=asked).json()
    assert (answer["fallback"], answer["score"]) == ("default", 0.25)


def test_without_the_online_store_arms_without_features_answer(
    kafka_bootstrap: str, project: str, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(RedisServer())
        scene = Scene(kafka_bootstrap, server.url, project, tmp_path)
        ensure_topics(kafka_bootstrap, scene.plan, event_partitions=1)
        scene.set_epoch(1, base=1.0)
        client = stack.enter_context(scene.serving())
        wait_until_ready(client)
        server.stop()
        answer = client.post("/v1/predict", json=question()).json()
        parts = {"models": True, "redis": False, "kafka": True}
        assert client.get("/readyz").json() == {**parts, "plan": f"plan {scene.plan.hash[:12]}"}
        logged = Prediction.model_validate_json(scene.logged(answer["log"])[1])
    assert (answer["arm"], answer["fallback"]) == ("base", None)
    assert logged.scores == {"base": 0.5, "static": 0.5, "streaming": None, "crossed": None, "tree": None}
    assert logged.features == {}


def test_without_the_log_an_answer_comes_and_says_so(
    redis_url: str, project: str, tmp_path: Path, free_port: int
) -> None:
    scene = Scene(f"127.0.0.1:{free_port}", redis_url, project, tmp_path)
    with scene.serving(log_timeout_s=0.3) as client:
        answer = client.post("/v1/predict", json=question()).json()
        assert client.get("/readyz").json()["kafka"] is False
        assert client.get("/healthz").status_code == 200
    assert (answer["logged"], answer["log"], answer["score"]) == (False, None, 0.5)


def test_features_expire_by_the_time_of_each_request(scene: Scene) -> None:
    view = scene.plan.stream_views[0].model_copy(update={"ttl_ms": 60_000})
    plan = scene.plan.model_copy(update={"stream_views": (view,)})
    asked = [question(ts_ms=AS_OF_MS + age) for age in (1000, 61_000, 2000)]
    with scene.serving(plan) as client:
        found = client.post("/v1/predict:batch", json={"requests": asked}).json()["predictions"]
    logged = [Prediction.model_validate_json(scene.logged(one["log"])[1]) for one in found]
    assert [one.features["delays__count"] for one in logged] == [7, None, 7]


def test_outcomes_go_to_the_partition_of_their_key(scene: Scene) -> None:
    told = {"key": "UA1", "label": 1, "ts_ms": 9000, "outcome_id": "o1"}
    with scene.serving() as client:
        single = client.post("/v1/outcomes", json=told).json()
        both = client.post("/v1/outcomes", json={"outcomes": [told, {"key": "p", "label": 0}]}).json()
    key, value = scene.logged(single["log"])
    assert key == b"UA1"
    assert Outcome.model_validate_json(value) == Outcome(outcome_id="o1", key="UA1", label=1.0, ts_ms=9000)
    assert single["log"]["topic"] == scene.plan.topics.router("delays").outcomes
    assert single["log"]["partition"] == partition_for(b"UA1", 2)
    assert [one["logged"] for one in both["outcomes"]] == [True, True]
