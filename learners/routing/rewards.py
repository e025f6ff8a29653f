"""Rewards: the number by which a closed prediction speaks for an arm."""

from __future__ import annotations

from collections.abc import Callable

from headrace.schemas.records import Closing
from headrace.schemas.router_specs import RouterSpec


def rewards(router: RouterSpec, closing: Closing) -> dict[str, float]:
    """Return rewards by arm; empty for a prediction without a label.

    With shared feedback every arm that had a score is rewarded, so arms are compared on the same cases. With
    feedback by arm the chosen one alone is. Its reward counts with weight 1: within an epoch the draw does
    not depend on the outcome, so the mean over an arm's own draws is unbiased as it is. Weights
    1 / propensity belong to off-policy estimates, which pool epochs; the propensity is logged for them.
    An arm that did not answer gets no reward.

    Returns
    -------
    dict
        Arm to reward. In [0, 1] for ``accuracy``, for ``brier`` with scores and labels in [0, 1], and for
        ``brier`` under a beta posterior; any real number for ``label`` and for ``brier`` otherwise.
    """
    prediction, label = closing.prediction, closing.label
    if label is None or closing.status == "censored":
        return {}
    if router.reward == "label":
        return {prediction.chosen: label} if prediction.fallback is None else {}
    reward_of = brier if router.reward == "brier" else accuracy
    arms = router.arms if router.feedback == "shared" else (prediction.chosen,)
    scores = {arm: prediction.scores.get(arm) for arm in arms}
    return {
        arm: _bounded(router, reward_of, score, label) for arm, score in scores.items() if score is not None
    }


def _bounded(
    router: RouterSpec, reward_of: Callable[[float, float], float], score: float, label: float
) -> float:
    """Return the reward, kept in [0, 1] where the posterior needs it."""
    reward = reward_of(score, label)
    needs_unit_interval = router.policy.kind == "thompson" and router.policy.posterior == "beta"
    return min(1.0, max(0.0, reward)) if needs_unit_interval else reward


def brier(score: float, label: float) -> float:
    """Return ``1 - (score - label)²``: one minus the score of Brier [1]_.

    Parameters
    ----------
    score
        A probability in [0, 1].
    label
        0 or 1.

    References
    ----------
    .. [1] Brier (1950). Verification of forecasts expressed in terms of probability; halved, as is usual for
       two classes.

    Examples
    --------
    >>> brier(0.75, 1.0)
    0.9375
    """
    return 1.0 - (score - label) ** 2


def accuracy(score: float, label: float) -> float:
    """Return 1 when score and label are on the same side of one half, else 0.

    Examples
    --------
    >>> accuracy(0.75, 1.0), accuracy(0.75, 0.0)
    (1.0, 0.0)
    """
    return float((score >= 0.5) == (label >= 0.5))
