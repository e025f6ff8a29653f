"""One router: which arm answers, what is logged of it, and what is refused."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.deploy.local.mock_kafka import MockKafka
from headrace.featurestore.online.async_client import AsyncFeatureClient
from headrace.learners.models.inputs import Inputs
from headrace.learners.models.scoring import score
from headrace.learners.routing.draw import draw
from headrace.learners.serving.api import LogPosition, OutcomeRequest, PredictRequest
from headrace.learners.serving.live_models import LiveModels
from headrace.learners.serving.metrics import ServiceMetrics
from headrace.learners.serving.prediction_log import PredictionLog
from headrace.learners.serving.router import RouterService
from headrace.schemas.errors import RequestError
from headrace.schemas.records import Outcome, Prediction
from headrace.schemas.topics import RouterTopics
from headrace.streams.log.partitioner import partition_for
from headrace.streams.log.reader import read_log
from headrace.streams.runtime.health import PlanHealth
from tests.support.flight_learners import LEARNERS
from tests.support.service_scene import Scene, question
from tests.support.waiting import PATIENCE_S

WITHOUT_OUTCOMES = LEARNERS.replace('outcome=Outcome("arrivals", key="flight", label="late"),', "")


@pytest.fixture
def broker(project: str) -> Iterator[MockKafka]:
    topics = RouterTopics(project, "delays")
    running = MockKafka({topics.predictions: 2, topics.outcomes: 2})
    yield running
    running.close()


@pytest.fixture
def scene(
    request: pytest.FixtureRequest, broker: MockKafka, redis_url: str, project: str, tmp_path: Path
) -> Scene:
    """A project; of another learners.py where a test names one."""
    return Scene(broker.bootstrap, redis_url, project, tmp_path, getattr(request, "param", LEARNERS))


@contextlib.asynccontextmanager
async def routing(scene: Scene, metrics: ServiceMetrics | None = None) -> AsyncIterator[RouterService]:
    """The router as it serves what is in force now."""
    models = LiveModels(scene.plan, scene.plan.routers[0], scene.project, scene.store, scene.redis, "r1")
    models.refresh()
    log = PredictionLog({"bootstrap.servers": scene.bootstrap, "log_level": 0}, PATIENCE_S)
    log.start()
    features = AsyncFeatureClient(scene.plan, scene.redis_url)
    try:
        yield RouterService(scene.plan, "delays", features, models, log, metrics or ServiceMetrics())
    finally:
        await features.close()
        log.close()


def requests(*questions: dict[str, Any]) -> list[PredictRequest]:
    return [PredictRequest.model_validate(each) for each in questions]


def at(scene: Scene, position: LogPosition | None) -> bytes:
    """The value of a record that was logged."""
    assert position is not None
    log = read_log(scene.bootstrap, position.topic, position.partition, position.offset)
    value = next(log).value()
    assert isinstance(value, bytes)
    return value


async def test_each_unit_gets_the_arm_of_its_draw_and_the_draw_is_logged(scene: Scene) -> None:
    vector = {"base": 0.1, "static": 0.2, "streaming": 0.3, "crossed": 0.4, "tree": 0.0}
    scene.set_epoch(8, **vector)
    flights = [f"F{number}" for number in range(60)]
    async with routing(scene) as router:
        answers = await router.predict(requests(*(question(flight) for flight in flights)))
    expected = [draw(router.spec.arms, vector, "", 8, flight) for flight in flights]
    assert [answer.arm for answer in answers] == expected
    assert {"base", "static", "streaming", "crossed"} == set(expected)
    logged = [Prediction.model_validate_json(at(scene, answer.log)) for answer in answers]
    assert [one.unit for one in logged] == flights
    assert [(one.chosen, one.propensity, one.epoch) for one in logged] == [
        (arm, vector[arm], 8) for arm in expected
    ]
    assert all(one.propensities == vector and one.plan_hash == scene.plan.hash for one in logged)


async def test_every_arm_is_scored_by_the_version_that_serves_and_the_chosen_one_answers(
    scene: Scene,
) -> None:
    trainers = scene.train(60)
    scene.set_epoch(2, tree=1.0)
    async with routing(scene) as router:
        (answer,) = await router.predict(requests(question(ts_ms=5_000)))
    logged = Prediction.model_validate_json(at(scene, answer.log))
    for name, trainer in trainers.items():
        inputs = Inputs(scene.plan, scene.plan.learner(name)).of_prediction(logged)
        assert logged.scores[name] == score(trainer.model, inputs)
    assert (answer.arm, answer.score, answer.version) == ("tree", logged.scores["tree"], "1.0")
    assert (logged.ts_ms, logged.features) == (5_000, {"delays__mean": 12.5, "delays__count": 7})


async def test_the_natural_key_is_the_field_that_outcomes_bring_unless_a_request_has_its_own(
    scene: Scene,
) -> None:
    async with routing(scene) as router:
        answers = await router.predict(requests(question("UA7"), question("UA7", key="mine")))
    assert [answer.key for answer in answers] == ["UA7", "mine"]
    for answer in answers:
        assert answer.log is not None
        assert answer.log.partition == partition_for(answer.key.encode(), 2)
    assert answers[0].prediction_id != answers[1].prediction_id


@pytest.mark.parametrize("scene", [WITHOUT_OUTCOMES], indirect=True)
async def test_without_outcomes_on_a_topic_the_prediction_id_is_the_key(scene: Scene) -> None:
    async with routing(scene) as router:
        answers = await router.predict(requests(question(), question(prediction_id="p1")))
    assert [answer.key for answer in answers] == [answer.prediction_id for answer in answers]
    assert answers[1].key == "p1"


EXITS = LEARNERS.replace("def with_ratio(x):", "def with_ratio(x):\n    x.get('distance') or exit(3)")


@pytest.mark.parametrize(
    ("scene", "fallback", "answered"),
    [
        (LEARNERS.replace('champion="streaming"', 'champion="base"'), "champion", 0.5),
        (LEARNERS.replace('champion="streaming"', 'champion="crossed", default=0.25'), "default", 0.25),
        (EXITS.replace('champion="streaming"', 'champion="base"'), "champion", 0.5),
    ],
    indirect=["scene"],
    ids=["champion", "default", "exits"],
)
async def test_for_an_arm_that_raises_answers_the_champion_else_the_default(
    scene: Scene, fallback: str, answered: float
) -> None:
    scene.set_epoch(1, crossed=1.0)
    metrics = ServiceMetrics()
    without_distance = {"entities": {"origin": "EWR"}, "request": {"distance": None, "flight": "UA1"}}
    async with routing(scene, metrics) as router:
        (answer,) = await router.predict(requests(without_distance))
    assert (answer.arm, answer.fallback, answer.score) == ("crossed", fallback, answered)
    logged = Prediction.model_validate_json(at(scene, answer.log))
    assert (logged.scores["crossed"], logged.fallback) == (None, fallback)
    exposition = metrics.exposition({"delays": router.models.live}, PlanHealth("h")).decode()
    assert f'headrace_fallbacks_total{{fallback="{fallback}",router="delays"}} 1.0' in exposition
    assert 'headrace_arm_errors_total{arm="crossed",router="delays"} 1.0' in exposition


@pytest.mark.parametrize(
    ("wrong", "field", "problem"),
    [
        ({"entities": {}, "request": {}}, "requests[1].entities.origin", "it is missing"),
        (
            {"entities": {"origin": "EWR"}, "request": {"flight": "UA1"}},
            "requests[1].request.distance",
            "it is missing",
        ),
        (
            {"entities": {"origin": "EWR"}, "request": {"distance": 1, "flight": None}},
            "requests[1].flight",
            "traffic is split by it",
        ),
        (question(origin=7), "requests[1].entities.origin", "7 is no String"),  # type: ignore[arg-type]
    ],
)
async def test_one_request_that_is_wrong_refuses_the_batch_and_nothing_of_it_is_logged(
    scene: Scene, wrong: dict[str, Any], field: str, problem: str
) -> None:
    async with routing(scene) as router:
        with pytest.raises(RequestError, match=problem) as refusal:
            await router.predict(requests(question(), wrong))
    assert refusal.value.field == field
    assert not [m for n in (0, 1) for m in read_log(scene.bootstrap, scene.predictions, n)]


async def test_outcomes_are_logged_under_the_key_of_their_prediction(scene: Scene) -> None:
    labels = [
        OutcomeRequest(key="UA1", label=1.0, ts_ms=9_000, outcome_id="o1"),
        OutcomeRequest(key="UA1", label=0.0),
        OutcomeRequest(key="UA1", label=0.0),
    ]
    async with routing(scene) as router:
        answers = await router.record(labels)
    first, second, third = (Outcome.model_validate_json(at(scene, answer.log)) for answer in answers)
    assert first == Outcome(outcome_id="o1", key="UA1", label=1.0, ts_ms=9_000)
    assert (second.key, third.key) == ("UA1", "UA1")
    assert len({answer.outcome_id for answer in answers}) == 3


async def test_an_outcome_by_id_where_predictions_lie_under_a_natural_key_refuses_the_batch(
    scene: Scene,
) -> None:
    labels = [OutcomeRequest(key="UA1", label=1.0), OutcomeRequest(prediction_id="p2", label=0.0)]
    async with routing(scene) as router:
        with pytest.raises(RequestError, match=r"finds predictions by 'flight'. Send that value as `key`"):
            await router.record(labels)
    assert not [m for n in (0, 1) for m in read_log(scene.bootstrap, scene.outcomes, n)]


@pytest.mark.parametrize("scene", [WITHOUT_OUTCOMES], indirect=True)
async def test_an_outcome_by_id_lies_where_its_prediction_does(scene: Scene) -> None:
    async with routing(scene) as router:
        (answer,) = await router.predict(requests(question()))
        (told,) = await router.record([OutcomeRequest(prediction_id=answer.prediction_id, label=0.0)])
    assert answer.log is not None
    assert told.log is not None
    assert answer.log.partition == told.log.partition
    assert Outcome.model_validate_json(at(scene, told.log)).key == answer.key


async def test_a_row_that_cannot_be_decoded_costs_only_the_requests_that_read_it(scene: Scene) -> None:
    project = scene.plan.project.encode()
    (row,) = [key for key in scene.redis.scan_iter() if b"EWR" in key and key.endswith(project)]
    for name in scene.redis.hkeys(row):
        scene.redis.hset(row, name, b"\xff" * 9)
    async with routing(scene) as router:
        answers = await router.predict(requests(question("UA1"), question("UA2", origin="JFK")))
    damaged, sound = (Prediction.model_validate_json(at(scene, answer.log)) for answer in answers)
    assert (damaged.features, sound.features) == ({}, {"delays__mean": None, "delays__count": 9})
    assert damaged.scores["static"] == 0.5  # it reads the request alone


async def test_numbers_that_are_equal_are_one_key_and_one_unit(scene: Scene) -> None:
    scene.set_epoch(8, base=0.5, tree=0.5)
    flights = [number for number in range(20) for number in (number, float(number))]
    async with routing(scene) as router:
        answers = await router.predict(requests(*(question(flight) for flight in flights)))  # type: ignore[arg-type]
        told = await router.record([OutcomeRequest(key=7, label=1.0), OutcomeRequest(key=7.0, label=1.0)])  # type: ignore[arg-type]
    assert [answer.key for answer in answers] == [str(n) for n in range(20) for _ in range(2)]
    assert [answer.arm for answer in answers[::2]] == [answer.arm for answer in answers[1::2]]
    assert {Outcome.model_validate_json(at(scene, one.log)).key for one in told} == {"7"}


async def test_a_router_describes_itself_and_its_arms_as_they_serve(scene: Scene) -> None:
    scene.train(30)
    scene.set_epoch(6, base=0.25, tree=0.75)
    async with routing(scene) as router:
        info, arms = router.info(), router.arms()
    assert (info.name, info.target, info.champion, info.unit) == ("delays", "late", "streaming", "flight")
    assert (info.policy, info.reward, info.wait_ms) == ("thompson", "brier", 6 * 3_600_000)
    assert (arms.router, arms.epoch) == ("delays", 6)
    assert {(arm.version, arm.offset) for arm in arms.arms} == {("1.0", 30)}
    assert {arm.arm: arm.propensity for arm in arms.arms if arm.propensity} == {"base": 0.25, "tree": 0.75}
