"""What every policy must do. A new policy is added to `POLICIES` and has its tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from headrace.learners.routing.policies import EpsilonGreedyPolicy, FixedPolicy, Policy, ThompsonPolicy
from headrace.learners.routing.posteriors import Evidence

ARMS = ("a", "b", "c")
POLICIES: dict[str, Callable[[], Policy]] = {
    "thompson-beta": lambda: ThompsonPolicy(ARMS, "beta", 0.99, 0.02),
    "thompson-normal": lambda: ThompsonPolicy(ARMS, "normal", 1.0, 0.0),
    "fixed": lambda: FixedPolicy(ARMS, {"a": 0.7, "c": 0.3}),
    "epsilon-greedy": lambda: EpsilonGreedyPolicy(ARMS, 0.1),
}
LEARNING = ("thompson-beta", "thompson-normal", "epsilon-greedy")


def evidence(count: float, **means: float) -> dict[str, Evidence]:
    """`count` rewards per arm with these means and a variance of a tenth."""
    return {arm: Evidence(count, count * mean, count * (mean * mean + 0.1)) for arm, mean in means.items()}


def check_vector_is_a_distribution_over_the_arms(policy: Policy) -> None:
    for found in (evidence(0, a=0, b=0, c=0), evidence(9, a=0.1, b=0.9, c=0.9), evidence(1e6, a=1, b=1, c=0)):
        for vector in (policy.initial(), policy.propensities(found)):
            assert tuple(vector) == ARMS
            assert min(vector.values()) >= 0.0
            assert math.isclose(sum(vector.values()), 1.0, abs_tol=1e-9)


def check_vector_is_a_pure_function_of_the_evidence(policy: Policy) -> None:
    found = evidence(40, a=0.5, b=0.6, c=0.55)
    assert policy.propensities(found) == policy.propensities(dict(found))


def check_discount_is_in_range(policy: Policy) -> None:
    assert 0.0 < policy.discount <= 1.0


def check_posteriors_are_told_for_every_arm(policy: Policy) -> None:
    told = policy.posteriors(evidence(3, a=0.2, b=0.5, c=1.0))
    assert tuple(told) == ARMS
    assert all(math.isfinite(value) for parameters in told.values() for value in parameters.values())


def check_arms_of_equal_evidence_are_equal(policy: Policy) -> None:
    vector = policy.propensities(evidence(50, a=0.4, b=0.4, c=0.4))
    assert all(math.isclose(p, 1 / 3, abs_tol=1e-6) for p in vector.values())


def check_the_better_arm_gets_more(policy: Policy) -> None:
    vector = policy.propensities(evidence(200, a=0.3, b=0.6, c=0.4))
    assert vector["b"] > 0.9
    assert vector["b"] > vector["c"] >= vector["a"]


def checks_of(name: str) -> Iterator[Callable[[Policy], None]]:
    yield check_vector_is_a_distribution_over_the_arms
    yield check_vector_is_a_pure_function_of_the_evidence
    yield check_discount_is_in_range
    yield check_posteriors_are_told_for_every_arm
    if name in LEARNING:
        yield check_arms_of_equal_evidence_are_equal
        yield check_the_better_arm_gets_more
