"""Rewards of every kind of target are in [0, 1], so that every posterior takes them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.learners.compile.label_rules import REWARDS
from headrace.learners.routing.policies import policy_of
from headrace.learners.routing.posteriors import Evidence
from headrace.learners.routing.rewards import rewards
from headrace.schemas.domains import DomainSpec
from headrace.schemas.errors import RecordError
from headrace.schemas.records import Closing
from headrace.schemas.router_specs import PolicySpec, RouterSpec
from tests.support.join_builders import a_prediction, a_router

NUMBER = DomainSpec(kind="number", low=-100, high=100, quantile=0.9)
CATEGORY = DomainSpec(kind="category", classes=("a", "b"))
POLICIES = [PolicySpec(kind="thompson", posterior=name) for name in ("beta", "normal")]


def router_of(domain: DomainSpec, reward: str, policy: PolicySpec = POLICIES[0]) -> RouterSpec:
    more: dict[str, Any] = {"domain": domain, "reward": reward, "default": domain.default, "policy": policy}
    return a_router(10, **more)


def earned(router: RouterSpec, score: Any, label: Any) -> dict[str, float]:
    prediction = a_prediction("p", "k", 0, scores={"m": score})
    return rewards(router, Closing(prediction=prediction, status="matched", label=label, label_ts_ms=1))


@pytest.mark.parametrize(
    ("domain", "reward", "score", "label", "expected"),
    [
        (NUMBER, "mae", 10.0, 30.0, 1 - 20 / 200),
        (NUMBER, "mae", -100.0, 100.0, 0.0),
        (NUMBER, "mse", 10.0, 30.0, 1 - (20 / 200) ** 2),
        (NUMBER, "pinball", 10.0, 30.0, 1 - 0.9 * 20 / (0.9 * 200)),
        (NUMBER, "pinball", 30.0, 10.0, 1 - 0.1 * 20 / (0.9 * 200)),
        (NUMBER, "label", 0.0, 50.0, 0.75),
        (CATEGORY, "brier", {"a": 0.75, "b": 0.25}, "a", 1 - 0.25**2),
        (CATEGORY, "brier", {"a": 0.0, "b": 1.0}, "a", 0.0),
        (CATEGORY, "accuracy", {"a": 0.75, "b": 0.25}, "a", 1.0),
        (CATEGORY, "accuracy", {"a": 0.75, "b": 0.25}, "b", 0.0),
    ],
)
def test_rewards_are_by_their_formula(
    domain: DomainSpec, reward: str, score: Any, label: Any, expected: float
) -> None:
    assert earned(router_of(domain, reward), score, label) == pytest.approx({"m": expected})


@given(st.data())
def test_a_reward_of_any_score_and_label_is_one_that_every_posterior_takes(data: st.DataObject) -> None:
    domain = data.draw(st.sampled_from([DomainSpec(), NUMBER, CATEGORY]))
    reward = data.draw(st.sampled_from(REWARDS[domain.kind]))
    policy = data.draw(st.sampled_from(POLICIES))
    if domain == CATEGORY:
        share = data.draw(st.floats(0.0, 1.0))
        score, label = {"a": share, "b": 1.0 - share}, data.draw(st.sampled_from(CATEGORY.classes))
    elif domain == NUMBER:
        score, label = data.draw(st.floats(-1e308, 1e308)), data.draw(st.floats(-100, 100))
    else:
        score, label = data.draw(st.floats(0.0, 1.0)), data.draw(st.sampled_from([0.0, 1.0]))
    (found,) = earned(router_of(domain, reward, policy), score, label).values()
    assert 0.0 <= found <= 1.0
    propensities = policy_of(policy, ("m", "n")).propensities({"m": Evidence().add(found), "n": Evidence()})
    assert sum(propensities.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("domain", "label"),
    [(NUMBER, 101.0), (NUMBER, "a"), (CATEGORY, "c"), (CATEGORY, 1.0), (DomainSpec(), "a")],
)
def test_a_label_that_is_none_of_the_target_earns_nothing_and_is_told(domain: DomainSpec, label: Any) -> None:
    with pytest.raises(RecordError, match=r"target 'late'|of 'late'"):
        earned(router_of(domain, REWARDS[domain.kind][0]), domain.default, label)


def test_a_score_of_another_kind_which_a_plan_before_had_earns_nothing() -> None:
    assert earned(router_of(CATEGORY, "brier"), 0.5, "a") == {}
    assert earned(router_of(NUMBER, "mae"), {"a": 1.0}, 3.0) == {}
