"""Policies: evidence in, propensities out. Every way of splitting traffic is one of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from headrace.learners.routing.posteriors import (
    BetaPosterior,
    Evidence,
    NormalPosterior,
    Posterior,
    probability_best,
)
from headrace.schemas.router_specs import PolicySpec


class Policy(Protocol):
    """Turns evidence of rewards into the probability of choosing each arm."""

    @property
    def discount(self) -> float:
        """Weight of older evidence at each refresh, in (0, 1]."""

    def initial(self) -> dict[str, float]:
        """Return the propensities of epoch 0, before any evidence."""

    def propensities(self, evidence: Mapping[str, Evidence]) -> dict[str, float]:
        """Return the probability of choosing each arm, in the order of the arms.

        Parameters
        ----------
        evidence
            Of every arm.

        Returns
        -------
        dict
            Arm to probability; none below 0, summing to 1.
        """

    def posteriors(self, evidence: Mapping[str, Evidence]) -> dict[str, dict[str, float]]:
        """Return, for each arm, the parameters that its propensity follows from."""


@dataclass(frozen=True)
class ThompsonPolicy:
    """Choose each arm with the probability that it is the best, mixed with a floor.

    ``propensity = floor + (1 - k * floor) * P(best)`` for k arms. That is the distribution Thompson sampling
    draws from (algorithm 4.2 of [1]_), computed instead of sampled, so that the propensity of a draw is known
    exactly.

    Parameters
    ----------
    arms
        In the router's order.
    posterior
        ``beta`` for rewards in [0, 1], ``normal`` for any real reward.
    discount
        Weight of older evidence at each refresh, in (0, 1].
    floor
        Least propensity of an arm, in [0, 1 / k].

    References
    ----------
    .. [1] Russo, Van Roy, Kazerouni, Osband, Wen (2018). A Tutorial on Thompson Sampling, section 4.

    Examples
    --------
    Eight of ten rewards against five of ten:

    >>> policy = ThompsonPolicy(("tree", "logistic"), "beta", discount=1.0, floor=0.02)
    >>> evidence = {"tree": Evidence(10, 8, 8), "logistic": Evidence(10, 5, 5)}
    >>> {arm: round(propensity, 3) for arm, propensity in policy.propensities(evidence).items()}
    {'tree': 0.892, 'logistic': 0.108}
    >>> policy.posteriors(evidence)["tree"]
    {'alpha': 9.0, 'beta': 3.0}
    """

    arms: tuple[str, ...]
    posterior: Literal["beta", "normal"]
    discount: float
    floor: float

    def initial(self) -> dict[str, float]:
        return uniform_propensities(self.arms)

    def propensities(self, evidence: Mapping[str, Evidence]) -> dict[str, float]:
        best = probability_best([self._posterior(evidence[arm]) for arm in self.arms])
        mixed = self.floor + (1.0 - self.floor * len(self.arms)) * best
        return dict(zip(self.arms, (mixed / mixed.sum()).tolist(), strict=True))

    def posteriors(self, evidence: Mapping[str, Evidence]) -> dict[str, dict[str, float]]:
        return {arm: self._posterior(evidence[arm]).parameters() for arm in self.arms}

    def _posterior(self, evidence: Evidence) -> Posterior:
        kind = BetaPosterior if self.posterior == "beta" else NormalPosterior
        return kind.of(evidence)


@dataclass(frozen=True)
class FixedPolicy:
    """Choose arms in declared shares, whatever the evidence.

    Examples
    --------
    >>> policy = FixedPolicy(("champion", "challenger"), {"champion": 0.95, "challenger": 0.05})
    >>> policy.propensities({})
    {'champion': 0.95, 'challenger': 0.05}
    """

    arms: tuple[str, ...]
    shares: Mapping[str, float]
    discount: float = 1.0

    def initial(self) -> dict[str, float]:
        return {arm: self.shares.get(arm, 0.0) for arm in self.arms}

    def propensities(self, evidence: Mapping[str, Evidence]) -> dict[str, float]:
        return self.initial()

    def posteriors(self, evidence: Mapping[str, Evidence]) -> dict[str, dict[str, float]]:
        return means(self.arms, evidence)


@dataclass(frozen=True)
class EpsilonGreedyPolicy:
    """Choose the arm with the best mean reward, and with probability `epsilon` any arm.

    ``propensity = epsilon / k``, and ``(1 - epsilon) / b`` more for each of the b arms whose mean is the
    greatest. An arm without evidence counts as the best, so that each is tried (optimistic initial values,
    section 2.6 of [1]_).

    Parameters
    ----------
    arms
        In the router's order.
    epsilon
        Share of traffic that is spread over all k arms, in [0, 1].

    References
    ----------
    .. [1] Sutton, Barto (2018). Reinforcement Learning: An Introduction, second edition, sections 2.2-2.6.

    Examples
    --------
    >>> policy = EpsilonGreedyPolicy(("tree", "logistic"), epsilon=0.1)
    >>> policy.propensities({"tree": Evidence(10, 8, 8), "logistic": Evidence(10, 5, 5)})
    {'tree': 0.9500000000000001, 'logistic': 0.05}
    """

    arms: tuple[str, ...]
    epsilon: float
    discount: float = 1.0

    def initial(self) -> dict[str, float]:
        return uniform_propensities(self.arms)

    def propensities(self, evidence: Mapping[str, Evidence]) -> dict[str, float]:
        mean = {arm: _mean(evidence[arm]) for arm in self.arms}
        best = [arm for arm in self.arms if mean[arm] == max(mean.values())]
        spread = self.epsilon / len(self.arms)
        greedy = (1.0 - self.epsilon) / len(best)
        return {arm: spread + greedy * (arm in best) for arm in self.arms}

    def posteriors(self, evidence: Mapping[str, Evidence]) -> dict[str, dict[str, float]]:
        return means(self.arms, evidence)


def policy_of(spec: PolicySpec, arms: Sequence[str]) -> Policy:
    """Return the policy that a plan declares, over `arms` in their order."""
    if spec.kind == "fixed":
        return FixedPolicy(tuple(arms), spec.shares)
    if spec.kind == "epsilon_greedy":
        return EpsilonGreedyPolicy(tuple(arms), spec.epsilon)
    return ThompsonPolicy(tuple(arms), spec.posterior, spec.discount, spec.floor)


def uniform_propensities(arms: Sequence[str]) -> dict[str, float]:
    """Return the same probability for every arm."""
    return {arm: 1.0 / len(arms) for arm in arms}


def means(arms: Sequence[str], evidence: Mapping[str, Evidence]) -> dict[str, dict[str, float]]:
    """Return the count and the mean of each arm's rewards; the mean is 0 where there are none.

    Examples
    --------
    >>> means(["tree"], {"tree": Evidence(10, 8, 8)})
    {'tree': {'count': 10, 'mean': 0.8}}
    """
    return {
        arm: {"count": evidence[arm].count, "mean": evidence[arm].total / max(evidence[arm].count, 1e-12)}
        for arm in arms
    }


def _mean(evidence: Evidence) -> float:
    return evidence.total / evidence.count if evidence.count > 0.0 else float(np.inf)
