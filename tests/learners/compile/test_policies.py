"""Policies compile when their parameters are in range, and are refused with the range otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from headrace import EpsilonGreedy, FixedSplit, ThompsonSampling
from headrace.learners.compile.policies import compile_policy
from headrace.learners.compile.requirements import Requirements
from headrace.learners.routing.policies import policy_of
from headrace.schemas.errors import DefinitionError
from headrace.schemas.router_specs import PolicySpec

ARMS = ("a", "b", "c", "d")


def compiled(policy: Any) -> PolicySpec:
    return compile_policy(Requirements("learners.py"), "router 'r'", policy, ARMS)


@pytest.mark.parametrize(
    "policy",
    [
        ThompsonSampling(),
        ThompsonSampling("normal", discount=0.5, floor=0.25),
        ThompsonSampling(floor=0.0),
        EpsilonGreedy(0.0),
        EpsilonGreedy(1.0),
        FixedSplit({"a": 0.25, "b": 0.75}),
    ],
)
def test_a_policy_in_range_gives_propensities_of_every_arm(policy: Any) -> None:
    first = policy_of(compiled(policy), ARMS).initial()
    assert tuple(first) == ARMS
    assert sum(first.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("policy", "problem", "remedy"),
    [
        (ThompsonSampling(floor=0.3), "`floor` 0.3 times 4 arms is 1.2", "Use a floor from 0 to 0.25"),
        (ThompsonSampling(floor=-0.1), "`floor` -0.1 times 4 arms", "Use a floor from 0 to 0.25"),
        (ThompsonSampling(discount=0.0), "`discount` is 0", "Use a value in (0, 1]"),
        (ThompsonSampling(discount=1.5), "`discount` is 1.5", "Use a value in (0, 1]"),
        (ThompsonSampling("gamma"), "`posterior` is 'gamma'", "Use 'beta' or 'normal'"),
        (EpsilonGreedy(1.01), "`epsilon` is 1.01", "Use a value in [0, 1]"),
        (FixedSplit({"a": 0.5}), "sum to 0.5", "Make them sum to 1, none below 0"),
        (FixedSplit({"a": 1.5, "b": -0.5}), "sum to 1", "Make them sum to 1, none below 0"),
        (FixedSplit({"e": 1.0}), "arm in `shares` 'e' does not exist", "Use one of: a, b, c, d"),
        ("always a", "`policy` is 'always a'", "Use ThompsonSampling, FixedSplit or EpsilonGreedy"),
    ],
)
def test_a_policy_out_of_range_is_refused(policy: Any, problem: str, remedy: str) -> None:
    with pytest.raises(DefinitionError, match=r"learners\.py: router 'r'") as refusal:
        compiled(policy)
    assert problem in refusal.value.problem
    assert refusal.value.remedy == remedy
