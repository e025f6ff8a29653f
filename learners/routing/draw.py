"""The draw of an arm: a pure function of salt, epoch, unit and propensities, so that it can be replayed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence


def uniform(salt: str, epoch: int, unit: str) -> float:
    """Return a number in [0, 1), uniform over units: the upper 53 bits of a 64-bit BLAKE2b hash.

    Parameters
    ----------
    salt
        The router's; another one gives every unit another number.
    epoch
        Number of the epoch.
    unit
        Value of the router's `unit`, as text.

    Examples
    --------
    >>> uniform("", 0, "customer-1")
    0.6404920272105292
    """
    text = f"{len(salt)}:{salt}|{epoch}|{unit}".encode()
    hashed = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
    return (hashed >> 11) * 2.0**-53


def draw(arms: Sequence[str], propensities: Mapping[str, float], salt: str, epoch: int, unit: str) -> str:
    """Return the arm of a unit during an epoch: the first at which the sum of propensities exceeds `uniform`.

    Parameters
    ----------
    arms
        In the router's order, which is part of the draw.
    propensities
        Probability of choosing each arm, in [0, 1], summing to 1. An arm with 0 is never drawn.
    salt, epoch, unit
        As for `uniform`.

    Examples
    --------
    >>> propensities = {"logistic": 0.7, "tree": 0.3}
    >>> [draw(["logistic", "tree"], propensities, "", 0, f"customer-{n}") for n in range(5)]
    ['logistic', 'logistic', 'logistic', 'tree', 'logistic']
    """
    u = uniform(salt, epoch, unit)
    reached = 0.0
    drawn = ""
    for arm in arms:
        if propensities[arm] > 0.0:
            drawn = arm
            reached += propensities[arm]
            if u < reached:
                break
    return drawn
