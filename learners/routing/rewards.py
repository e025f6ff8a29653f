"""Rewards: the number by which a closed prediction speaks for an arm."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from headrace.schemas.errors import RecordError
from headrace.schemas.records import Closing
from headrace.schemas.router_specs import RouterSpec

MOST_REWARD: Final = 1e100  # sums of its squares are finite


def rewards(router: RouterSpec, closing: Closing) -> dict[str, float]:
    """Return rewards by arm; empty for a prediction without a label.

    With shared feedback every arm that had a score is rewarded, so arms are compared on the same cases. With
    feedback by arm the chosen one alone is. Its reward counts with weight 1: within an epoch the draw does
    not depend on the outcome, so the mean over an arm's own draws is unbiased as it is. Weights
    1 / propensity belong to off-policy estimates, which pool epochs; the propensity is logged for them.
    An arm that did not answer gets no reward.

    Raises
    ------
    RecordError
        When a reward is none that a posterior can take.

    Returns
    -------
    dict
        Arm to reward. In [0, 1] for ``accuracy``, for ``brier`` with scores and labels in [0, 1], and for
        ``brier`` under a beta posterior; any real number for ``label`` and for ``brier`` otherwise.
    """
    found = _rewards(router, closing)
    for arm, reward in found.items():
        _check(router, arm, reward)
    return found


def _rewards(router: RouterSpec, closing: Closing) -> dict[str, float]:
    prediction, label = closing.prediction, closing.label
    if label is None or closing.status == "censored":
        return {}
    if prediction.chosen not in router.arms and (router.reward == "label" or router.feedback != "shared"):
        return {}  # of a plan before, which had other arms
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
    try:
        reward = reward_of(score, label)
    except OverflowError:  # of a score beyond all measure
        reward = -math.inf
    return min(1.0, max(0.0, reward)) if _needs_unit_interval(router) else reward


def _needs_unit_interval(router: RouterSpec) -> bool:
    return router.policy.kind == "thompson" and router.policy.posterior == "beta"


def _check(router: RouterSpec, arm: str, reward: float) -> None:
    least, most = (0.0, 1.0) if _needs_unit_interval(router) else (-MOST_REWARD, MOST_REWARD)
    if not least <= reward <= most:
        remedy = (
            "send labels in [0, 1], or give the router a normal posterior"
            if _needs_unit_interval(router)
            else "see where such a label or score comes from"
        )
        takes = f"router '{router.name}' takes {least:g} to {most:g}"
        raise RecordError(f"the reward of arm '{arm}' is {reward:g}, and {takes}: {remedy}")


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
