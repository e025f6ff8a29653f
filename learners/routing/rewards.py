"""Rewards: the number by which a closed prediction speaks for an arm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, TypeGuard

from headrace.learners.models.losses import likeliest, pinball
from headrace.schemas.domains import Distribution, Score
from headrace.schemas.errors import RecordError
from headrace.schemas.label_reader import Label, read_label
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
        Arm to reward, in [0, 1]: of every kind of target, with labels of its domain. A binary label of before
        there were kinds may be any number; then ``brier`` and ``label`` are any real numbers, unless a beta
        posterior keeps ``brier`` in [0, 1].
    """
    found = _rewards(router, closing)
    for arm, reward in found.items():
        _check(router, arm, reward)
    return found


def _rewards(router: RouterSpec, closing: Closing) -> dict[str, float]:
    prediction = closing.prediction
    if closing.label is None or closing.status == "censored":
        return {}
    if prediction.chosen not in router.arms and (router.reward == "label" or router.feedback != "shared"):
        return {}  # of a plan before, which had other arms
    label = _label(router, closing.label)
    if router.reward == "label":
        return {prediction.chosen: _scaled(router, label)} if prediction.fallback is None else {}
    arms = router.arms if router.feedback == "shared" else (prediction.chosen,)
    scores = {arm: prediction.scores.get(arm) for arm in arms}
    return {arm: _reward(router, score, label) for arm, score in scores.items() if _answers(score, router)}


def _label(router: RouterSpec, label: Label) -> Label:
    """Return the label of a closing; raises `RecordError` for one that is none of the target."""
    if router.domain.kind == "binary" and not isinstance(label, str):
        return label  # of before there were kinds, any number
    return read_label(router.target, router.domain, label)


def _answers(score: Score | None, router: RouterSpec) -> TypeGuard[Score]:
    """Whether there is a score, and of this kind of target: a plan before may have had another."""
    return score is not None and isinstance(score, Mapping) == (router.domain.kind == "category")


def _scaled(router: RouterSpec, label: Label) -> float:
    assert not isinstance(label, str)  # a category has no such reward
    low = router.domain.low
    return label if low is None else (label - low) / router.domain.span


def _reward(router: RouterSpec, score: Score, label: Label) -> float:
    """Return the reward of a score; of a binary label kept in [0, 1] where the posterior needs it."""
    if isinstance(score, Mapping):
        assert isinstance(label, str)
        reward_of = brier_of_classes if router.reward == "brier" else accuracy_of_classes
        return reward_of(score, label)
    assert not isinstance(label, str)
    if router.domain.kind == "number":
        return _reward_of_number(router, label - score)
    try:
        reward = brier(score, label) if router.reward == "brier" else accuracy(score, label)
    except OverflowError:  # of a score beyond all measure
        reward = -math.inf
    return min(1.0, max(0.0, reward)) if _needs_unit_interval(router) else reward


def _reward_of_number(router: RouterSpec, error: float) -> float:
    domain = router.domain
    if router.reward == "mse":
        lost = min(1.0, abs(error) / domain.span) ** 2
    elif router.reward == "pinball" and domain.quantile is not None:
        quantile = domain.quantile
        lost = pinball(error, quantile) / (max(quantile, 1.0 - quantile) * domain.span)
    else:
        lost = abs(error) / domain.span
    return 1.0 - min(1.0, lost)  # a score of a plan with another range may be further away


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


def brier_of_classes(score: Distribution, label: str) -> float:
    """Return ``1 - sum (p_k - y_k)² / 2`` over all classes: one minus half the score of Brier [1]_.

    References
    ----------
    .. [1] Brier (1950). Verification of forecasts expressed in terms of probability.

    Examples
    --------
    >>> brier_of_classes({"carrier": 0.75, "weather": 0.25}, "carrier")
    0.9375
    """
    squares = ((share - (name == label)) ** 2 for name, share in score.items())
    return max(0.0, 1.0 - math.fsum(squares) / 2.0)


def accuracy_of_classes(score: Distribution, label: str) -> float:
    """Return 1 when the label is the class with the greatest share, of several the first, else 0.

    Examples
    --------
    >>> accuracy_of_classes({"carrier": 0.4, "weather": 0.6}, "weather")
    1.0
    """
    return float(likeliest(score) == label)
