"""What an arm earns from a closed prediction."""

from __future__ import annotations

from collections.abc import Callable

from headrace.schemas.records import Closing
from headrace.schemas.router_specs import RouterSpec


def rewards(router: RouterSpec, closing: Closing) -> dict[str, float]:
    """Rewards by arm; empty for a prediction without a label.

    With shared feedback every arm that had a score earns by it, so arms are compared on the same cases.
    With feedback by arm only the chosen one does. It counts with weight 1: within an epoch the draw does
    not depend on the outcome, so the mean over an arm's own draws is unbiased as it is. Weights
    1 / propensity belong to off-policy estimates, which pool epochs; the propensity is logged for them.
    An arm that did not answer earns nothing.
    """
    prediction, label = closing.prediction, closing.label
    if label is None or closing.status == "censored":
        return {}
    if router.reward == "label":
        return {prediction.chosen: label} if prediction.fallback is None else {}
    earn = brier if router.reward == "brier" else accuracy
    arms = router.arms if router.feedback == "shared" else (prediction.chosen,)
    found = {arm: prediction.scores.get(arm) for arm in arms}
    return {arm: bounded(router, earn, score, label) for arm, score in found.items() if score is not None}


def bounded(router: RouterSpec, earn: Callable[[float, float], float], score: float, label: float) -> float:
    """The reward, kept in [0, 1] where the posterior needs it."""
    reward = earn(score, label)
    needs = router.policy.kind == "thompson" and router.policy.posterior == "beta"
    return min(1.0, max(0.0, reward)) if needs else reward


def brier(score: float, label: float) -> float:
    """1 - (p - y)², one minus the score of Brier (1950), Verification of forecasts expressed in terms of
    probability."""
    return 1.0 - (score - label) ** 2


def accuracy(score: float, label: float) -> float:
    """1 when score and label are on the same side of one half, else 0."""
    return float((score >= 0.5) == (label >= 0.5))
