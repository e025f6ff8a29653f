"""Every policy passes the same checks; what is particular to one comes after."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from headrace.learners.routing.policies import EpsilonGreedyPolicy, Policy, ThompsonPolicy, policy_of
from headrace.schemas.router_specs import PolicySpec
from tests.support.policy_checks import ARMS, POLICIES, checks_of, evidence


@pytest.mark.parametrize(
    ("name", "check"),
    [
        pytest.param(name, check, id=f"{name}-{check.__name__}")
        for name in POLICIES
        for check in checks_of(name)
    ],
)
def test_policy(name: str, check: Callable[[Policy], None]) -> None:
    check(POLICIES[name]())


def test_the_floor_is_the_least_propensity() -> None:
    vector = ThompsonPolicy(ARMS, "beta", 1.0, 0.05).propensities(evidence(1e5, a=0.9, b=0.1, c=0.2))
    assert vector == pytest.approx({"a": 0.9, "b": 0.05, "c": 0.05}, abs=1e-6)


def test_epsilon_greedy_tries_arms_without_evidence_first() -> None:
    found = evidence(10, a=0.9, b=0.8) | evidence(0, c=0.0)
    assert EpsilonGreedyPolicy(ARMS, 0.3).propensities(found) == pytest.approx({"a": 0.1, "b": 0.1, "c": 0.8})


def test_the_plan_declares_the_policy() -> None:
    spec = PolicySpec(kind="fixed", shares={"b": 1.0})
    assert policy_of(spec, ARMS).initial() == {"a": 0.0, "b": 1.0, "c": 0.0}
    assert isinstance(policy_of(PolicySpec(kind="epsilon_greedy"), ARMS), EpsilonGreedyPolicy)
    assert isinstance(policy_of(PolicySpec(), ARMS), ThompsonPolicy)
