"""Compilation of a router's policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.learners.compile.requirements import Requirements
from headrace.learners.definitions import EpsilonGreedy, FixedSplit, Policy, ThompsonSampling
from headrace.schemas.router_specs import PolicySpec


def compile_policy(requirements: Requirements, where: str, policy: Policy, arms: Sequence[str]) -> PolicySpec:
    """Check the policy of a router and return its specification.

    Raises
    ------
    DefinitionError
        When it is no policy, or a parameter is out of its range.
    """
    if isinstance(policy, ThompsonSampling):
        return _thompson(requirements, where, policy, len(arms))
    if isinstance(policy, EpsilonGreedy):
        problem = f"`epsilon` is {policy.epsilon:g}"
        requirements.require(0.0 <= policy.epsilon <= 1.0, where, problem, "Use a value in [0, 1]")
        return PolicySpec(kind="epsilon_greedy", epsilon=policy.epsilon)
    problem, remedy = f"`policy` is {policy!r}", "Use ThompsonSampling, FixedSplit or EpsilonGreedy"
    requirements.require(isinstance(policy, FixedSplit), where, problem, remedy)
    _check_shares(requirements, where, policy.shares, arms)
    return PolicySpec(kind="fixed", shares=dict(policy.shares))


def _thompson(requirements: Requirements, where: str, policy: ThompsonSampling, arms: int) -> PolicySpec:
    require = requirements.require
    problem = f"`floor` {policy.floor:g} times {arms} arms is {policy.floor * arms:g}, not in [0, 1]"
    require(0.0 <= policy.floor * arms <= 1.0, where, problem, f"Use a floor from 0 to {1 / arms:.4g}")
    problem = f"`discount` is {policy.discount:g}"
    require(0.0 < policy.discount <= 1.0, where, problem, "Use a value in (0, 1]")
    problem = f"`posterior` is {policy.posterior!r}"
    require(policy.posterior in ("beta", "normal"), where, problem, "Use 'beta' or 'normal'")
    return PolicySpec(
        kind="thompson", posterior=policy.posterior, discount=policy.discount, floor=policy.floor
    )


def _check_shares(
    requirements: Requirements, where: str, shares: Mapping[str, float], arms: Sequence[str]
) -> None:
    for arm in shares:
        requirements.known(where, "arm in `shares`", arm, arms)
    problem = f"`shares` {dict(shares)} sum to {sum(shares.values()):g}"
    valid = min(shares.values(), default=0.0) >= 0 and abs(sum(shares.values()) - 1.0) <= 1e-9
    requirements.require(valid, where, problem, "Make them sum to 1, none below 0")
