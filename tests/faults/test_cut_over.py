"""Definitions change under load, and worker, join, train and serve are replaced in every order.

Replicas of the plan before and of the new one answer side by side. Whatever was replaced first, no answer
comes from a model that has learned less than the one before, and what is logged is what was drawn with.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path

import pytest

from headrace.deploy.local.redis_server import RedisServer
from headrace.learners.routing.changed_arms import of_arms
from headrace.learners.routing.draw import draw
from headrace.learners.serving.live import UNTRAINED
from headrace.schemas.records import Prediction
from tests.support.cut_over_scene import SLOTS, Answered, CutOverScene

SLOW, FAST = {"live": 0.05}, {"live": 0.2}
CHANGES: Mapping[str, Mapping[str, float]] = {
    "another hyperparameter": FAST,
    "an arm is added": FAST | {"more": 0.1},
    "an arm is removed": FAST,
    "all of Redis is lost": FAST,
    "back again": SLOW,
}
ORDERS = [(*order, "other") for order in permutations(("worker", "join", "train", "serve"))]
A_FEW = 5  # answers of each replica


@pytest.fixture
def scene(kafka_bootstrap: str, project: str, tmp_path: Path) -> Iterator[CutOverScene]:
    with RedisServer() as server:
        found = CutOverScene(kafka_bootstrap, server.url, project, tmp_path)
        try:
            yield found
        finally:
            found.stop()


@pytest.mark.parametrize(
    "orders",
    [
        [ORDERS[0][::-1], ("train", "join", "worker", "serve", "other")],
        *(pytest.param(ORDERS[n::6], marks=pytest.mark.faults) for n in range(6)),
    ],
)
def test_whatever_is_replaced_first_answers_never_know_less(
    scene: CutOverScene, orders: Sequence[Sequence[str]]
) -> None:
    scene.start(SLOW)
    with scene.load():
        scene.step = "before"
        scene.wait_for_cut_over()
        scene.wait_for_answers(A_FEW)
        for turn, (change, rates) in enumerate(CHANGES.items()):
            scene.step = change
            if change == "all of Redis is lost":
                scene.redis.flushall()
            scene.apply(rates)
            for name in orders[turn % len(orders)]:
                scene.restart(name, kills=turn % 2 == 1)
                scene.wait_for_answers(A_FEW)
            scene.wait_for_cut_over()
            scene.wait_for_answers(A_FEW)
    scene.end()
    assert_no_answer_knew_less(scene)
    assert_no_version_name_means_two_things(scene)
    assert_what_is_logged_was_drawn_with(scene)
    assert_quality_stays(scene)


def assert_no_answer_knew_less(scene: CutOverScene) -> None:
    """By place of a replica, whoever is in it, and arm: the versions of its answers, in their order."""
    offsets = {(one.name, one.version): one.offset for one in scene.lineage()}
    logged = scene.predictions()
    known: dict[tuple[str, str], int] = defaultdict(int)
    for answered in scene.answers:
        prediction = logged[answered.answer["prediction_id"]]
        for arm, version in prediction.versions.items():
            if version == UNTRAINED:  # of what nobody has published yet
                assert arm in prediction.untrained, answered
                assert arm == "more" or answered.step == "before", answered
            now = 0 if version == UNTRAINED else offsets[arm, version]
            assert now >= known[answered.slot, arm], (answered, prediction)
            known[answered.slot, arm] = now
        assert answered.answer["untrained"] == (answered.answer["arm"] in prediction.untrained)


def assert_no_version_name_means_two_things(scene: CutOverScene) -> None:
    lineage = scene.lineage()
    assert len({(one.name, one.version) for one in lineage}) == len(lineage)
    definitions = defaultdict(set)
    for one in lineage:
        definitions[one.name, one.major].add(one.definition)
    assert all(len(found) == 1 for found in definitions.values())
    assert {major for name, major in definitions if name == "live"} == {1, 2}  # that of 1 was taken up again


def assert_what_is_logged_was_drawn_with(scene: CutOverScene) -> None:
    epochs = scene.epochs()
    for prediction in scene.predictions().values():
        router = scene.plans[prediction.plan_hash].router("main")
        drawn = draw(router.arms, prediction.propensities, router.salt, prediction.epoch, prediction.unit)
        assert (drawn, prediction.propensities[drawn]) == (prediction.chosen, prediction.propensity)
        if prediction.epoch:
            assert prediction.propensities == of_arms(epochs[prediction.epoch].propensities, router)
            if "more" in prediction.untrained:
                assert prediction.propensities["more"] <= 0.05
    assert {one.slot for one in scene.answers} == {*SLOTS}


def assert_quality_stays(scene: CutOverScene) -> None:
    """The scores of the learner that is there all the time are those of a trained model."""
    logged, offsets = scene.predictions(), {(one.name, one.version): one.offset for one in scene.lineage()}
    by_step: dict[str, list[tuple[Answered, Prediction]]] = defaultdict(list)
    for answered in scene.answers:
        by_step[answered.step].append((answered, logged[answered.answer["prediction_id"]]))
    for step, pairs in by_step.items():
        scores = [(prediction.scores["live"] or 0.0, answered.label) for answered, prediction in pairs]
        right = sum((score >= 0.5) == (label >= 0.5) for score, label in scores) / len(scores)
        given = [score if label else 1 - score for score, label in scores]
        loss = -sum(math.log(max(1e-6, each)) for each in given) / len(given)
        versions = list(dict.fromkeys(prediction.versions["live"] for _, prediction in pairs))
        known = [offsets.get(("live", version), 0) for version in versions]
        answers = sum(answered.is_right for answered, _ in pairs) / len(pairs)
        told = f"{step}: {len(pairs)} answers, right {answers:.3f}, live: right {right:.3f}, loss {loss:.3f}"
        print(f"{told}, {versions[0]} to {versions[-1]}, examples before {min(known)} to {max(known)}")
        assert step == "before" or right > 0.8, told
