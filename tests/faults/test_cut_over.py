"""Definitions change under load, and worker, join, train and serve are replaced in every order.

Replicas of the plan before and of the new one answer side by side. Whatever was replaced first, no answer
comes from a model that has learned less than the one before, and what is logged is what was drawn with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path

import pytest

from headrace.deploy.local.redis_server import RedisServer
from headrace.learners.routing.changed_arms import of_arms
from headrace.learners.routing.draw import draw
from headrace.learners.serving.live import UNTRAINED
from tests.support.cut_over_scene import SLOTS, CutOverScene

SLOW, FAST = {"live": 0.05}, {"live": 0.2}
CHANGES: Mapping[str, Mapping[str, float]] = {
    "another hyperparameter": FAST,
    "an arm is added": FAST | {"more": 0.1},
    "an arm is removed": FAST,
    "all of Redis is lost": FAST,
    "back again": SLOW,
}
ORDERS = [(*order, "other") for order in permutations(("worker", "join", "train", "serve"))]
A_FEW = 8  # answers of each replica


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


def assert_no_answer_knew_less(scene: CutOverScene) -> None:
    """By place of a replica, whoever is in it, and arm: the versions of its answers, in their order."""
    offsets = {(one.name, one.version): one.offset for one in scene.lineage()}
    logged = scene.predictions()
    known: dict[tuple[str, str], int] = defaultdict(int)
    for answered in scene.answers:
        prediction = logged[answered.answer["prediction_id"]]
        for arm, version in prediction.versions.items():
            assert version != UNTRAINED or (arm == "more" and arm in prediction.untrained), answered
            now = 0 if version == UNTRAINED else offsets[arm, version]
            assert now >= known[answered.slot, arm] or arm in prediction.untrained, (answered, prediction)
            known[answered.slot, arm] = max(now, known[answered.slot, arm])
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
