"""Rewards: which arms earn from a closed prediction, and how much."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.learners.routing.rewards import accuracy, brier, rewards
from headrace.schemas.plan import Plan
from headrace.schemas.records import Closing
from headrace.schemas.router_specs import PolicySpec, RouterSpec
from tests.support.flight_learners import closings, flights


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return flights(tmp_path_factory.mktemp("project"))[0]


def closed(plan: Plan, label: float | None, scores: dict[str, float], **changes: Any) -> Closing:
    """A closing of a prediction that the tree was chosen for, with scores of some arms."""
    closing = next(closings(plan, 1, {}))
    answered = dict.fromkeys(plan.routers[0].arms, None) | scores
    asked = closing.prediction.model_copy(update={"scores": answered, "chosen": "tree"} | changes)
    return closing.model_copy(update={"prediction": asked, "label": label})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {"base": 1 - 0.3**2, "tree": 1 - 0.6**2}),
        ({"reward": "accuracy"}, {"base": 1.0, "tree": 0.0}),
        ({"reward": "label"}, {"tree": 1.0}),
        ({"feedback": "arm"}, {"tree": 1 - 0.6**2}),
    ],
)
def test_arms_that_answered_earn_by_reward_and_feedback(
    plan: Plan, change: dict[str, str], expected: dict[str, float]
) -> None:
    router: RouterSpec = plan.routers[0].model_copy(update=change)
    closing = closed(plan, 1.0, {"base": 0.7, "tree": 0.4})
    assert rewards(router, closing) == pytest.approx(expected)
    assert rewards(router, closing.model_copy(update={"status": "censored"})) == {}
    assert rewards(router, closing.model_copy(update={"label": None})) == {}


def test_a_chosen_arm_that_another_answered_for_earns_no_label(plan: Plan) -> None:
    router = plan.routers[0].model_copy(update={"reward": "label", "policy": PolicySpec(posterior="normal")})
    assert rewards(router, closed(plan, 3.0, {}, fallback="champion")) == {}
    assert rewards(router, closed(plan, 3.0, {"tree": 1.0})) == {"tree": 3.0}


def test_an_arm_that_the_router_has_no_more_earns_nothing(plan: Plan) -> None:
    closing = closed(plan, 1.0, {"gone": 1.0})
    gone = closing.model_copy(update={"prediction": closing.prediction.model_copy(update={"chosen": "gone"})})
    by_label = plan.routers[0].model_copy(
        update={"reward": "label", "policy": PolicySpec(posterior="normal")}
    )
    assert rewards(by_label, gone) == {}
    assert rewards(plan.routers[0].model_copy(update={"feedback": "arm"}), gone) == {}
    assert rewards(plan.routers[0], gone) == {}


def test_a_beta_posterior_gets_rewards_in_the_unit_interval_alone(plan: Plan) -> None:
    beta = plan.routers[0]
    normal = beta.model_copy(update={"policy": beta.policy.model_copy(update={"posterior": "normal"})})
    far_off = closed(plan, 5.0, {"base": 0.0})
    assert (rewards(beta, far_off), rewards(normal, far_off)) == ({"base": 0.0}, {"base": -24.0})


def test_brier_is_best_at_the_label_and_accuracy_looks_at_sides() -> None:
    assert [brier(score, 1.0) for score in (1.0, 0.5, 0.0)] == [1.0, 0.75, 0.0]
    assert [accuracy(score, 1.0) for score in (0.5, 0.49)] == [1.0, 0.0]
