"""Policies: evidence in, a probability vector out. Every way of splitting traffic is one of these."""

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
    """Chooses propensities."""

    @property
    def discount(self) -> float:
        """What older evidence counts at each refresh, in (0, 1]."""

    def initial(self) -> dict[str, float]:
        """The vector of epoch 0, before any evidence."""

    def propensities(self, evidence: Mapping[str, Evidence]) -> dict[str, float]:
        """Probability of choosing per arm, in the order of the arms; none below 0, summing to 1."""

    def posteriors(self, evidence: Mapping[str, Evidence]) -> dict[str, dict[str, float]]:
        """Per arm, the parameters the vector follows from."""


@dataclass(frozen=True)
class ThompsonPolicy:
    """Each arm with the probability of being best, mixed with a floor: floor + (1 - k * floor) * P(best).

    That is the distribution Thompson sampling draws from (Russo et al. 2018, section 4), computed instead
    of sampled, so that the propensity of a draw is known exactly.
    """

    arms: tuple[str, ...]
    posterior: Literal["beta", "normal"]
    discount: float
    floor: float

    def initial(self) -> dict[str, float]:
        return uniform_vector(self.arms)

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
    """The declared shares, whatever the evidence."""

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
    """The best mean takes 1 - epsilon (ties share it), and epsilon is spread over all arms evenly.

    An arm without evidence counts as the best, so that each is tried (Sutton and Barto 2018, section 2.6,
    optimistic initial values).
    """

    arms: tuple[str, ...]
    epsilon: float
    discount: float = 1.0

    def initial(self) -> dict[str, float]:
        return uniform_vector(self.arms)

    def propensities(self, evidence: Mapping[str, Evidence]) -> dict[str, float]:
        mean = {arm: _mean(evidence[arm]) for arm in self.arms}
        best = [arm for arm in self.arms if mean[arm] == max(mean.values())]
        spread = self.epsilon / len(self.arms)
        greedy = (1.0 - self.epsilon) / len(best)
        return {arm: spread + greedy * (arm in best) for arm in self.arms}

    def posteriors(self, evidence: Mapping[str, Evidence]) -> dict[str, dict[str, float]]:
        return means(self.arms, evidence)


def policy_of(spec: PolicySpec, arms: Sequence[str]) -> Policy:
    """The policy a plan declares, over `arms` in their order."""
    if spec.kind == "fixed":
        return FixedPolicy(tuple(arms), spec.shares)
    if spec.kind == "epsilon_greedy":
        return EpsilonGreedyPolicy(tuple(arms), spec.epsilon)
    return ThompsonPolicy(tuple(arms), spec.posterior, spec.discount, spec.floor)


def uniform_vector(arms: Sequence[str]) -> dict[str, float]:
    return {arm: 1.0 / len(arms) for arm in arms}


def means(arms: Sequence[str], evidence: Mapping[str, Evidence]) -> dict[str, dict[str, float]]:
    """Number and mean of the rewards per arm; the mean is 0 where there are none."""
    return {
        arm: {"count": evidence[arm].count, "mean": evidence[arm].total / max(evidence[arm].count, 1e-12)}
        for arm in arms
    }


def _mean(evidence: Evidence) -> float:
    return evidence.total / evidence.count if evidence.count > 0.0 else float(np.inf)
