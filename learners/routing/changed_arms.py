"""Propensities where the arms have changed: a known vector is kept as far as it goes."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Final

from headrace.learners.routing.policies import policy_of
from headrace.schemas.records import Epoch
from headrace.schemas.router_specs import RouterSpec

NEWCOMER_SHARE: Final = 0.05


def newcomer_share(router: RouterSpec, arm: str) -> float:
    """Return the propensity that a new arm begins with.

    That is its share where shares are declared. Else it is `NEWCOMER_SHARE`, or an equal share where that is
    less, or the least propensity that the policy gives to any arm where that is more.

    >>> from headrace.schemas.router_specs import PolicySpec
    >>> router = RouterSpec.model_construct(arms=("tree", "base"), policy=PolicySpec(floor=0.1))
    >>> newcomer_share(router, "tree")
    0.1
    """
    policy, arms = router.policy, len(router.arms)
    if policy.kind == "fixed":
        return policy.shares.get(arm, 0.0)
    least = policy.floor if policy.kind == "thompson" else policy.epsilon / arms
    return max(least, min(NEWCOMER_SHARE, 1.0 / arms))


def of_arms(propensities: Mapping[str, float], router: RouterSpec) -> dict[str, float]:
    """Return a vector of the arms of a router, in their order.

    Arms that the given one lacks begin with `newcomer_share`. What is left is shared out in the proportions
    of the given vector. Where it gives nothing to any arm of the router, the policy begins anew.

    Examples
    --------
    >>> from headrace.schemas.router_specs import PolicySpec
    >>> router = RouterSpec.model_construct(arms=("tree", "base"), policy=PolicySpec())
    >>> of_arms({"base": 0.4, "tree": 0.4, "gone": 0.2}, router)
    {'tree': 0.5, 'base': 0.5}
    >>> of_arms({"base": 1.0}, router)
    {'tree': 0.05, 'base': 0.95}
    """
    if propensities.keys() == {*router.arms}:
        return {arm: propensities[arm] for arm in router.arms}
    added = {arm: newcomer_share(router, arm) for arm in router.arms if arm not in propensities}
    return _shared_out(propensities, added, router)


def epoch_of_arms(epoch: Epoch, router: RouterSpec) -> Epoch:
    """Return an epoch with the propensities `of_arms`: what requests of the router draw from."""
    if epoch.propensities.keys() == {*router.arms}:
        return epoch
    return epoch.model_copy(update={"propensities": of_arms(epoch.propensities, router)})


def capped(
    propensities: Mapping[str, float], newcomers: Collection[str], router: RouterSpec
) -> dict[str, float]:
    """Return a vector in which no newcomer has more than its `newcomer_share`.

    Examples
    --------
    >>> from headrace.schemas.router_specs import PolicySpec
    >>> router = RouterSpec.model_construct(arms=("tree", "base"), policy=PolicySpec())
    >>> capped({"tree": 0.5, "base": 0.5}, ["tree"], router)
    {'tree': 0.05, 'base': 0.95}
    """
    most = {arm: newcomer_share(router, arm) for arm in newcomers}
    over = {arm: share for arm, share in most.items() if propensities[arm] > share}
    return _shared_out(propensities, over, router) if over else dict(propensities)


def _shared_out(
    propensities: Mapping[str, float], given: Mapping[str, float], router: RouterSpec
) -> dict[str, float]:
    """Return these shares, and what is left of 1 in the proportions of a vector."""
    others = {arm: propensities[arm] for arm in router.arms if arm not in given}
    total, left = math.fsum(others.values()), 1.0 - math.fsum(given.values())
    if total <= 0.0:
        return policy_of(router.policy, router.arms).initial()
    return {arm: given[arm] if arm in given else others[arm] / total * left for arm in router.arms}
