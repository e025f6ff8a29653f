"""Drawing an arm: a pure function of salt, epoch, unit and the epoch's vector, so it can be replayed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence


def uniform(salt: str, epoch: int, unit: str) -> float:
    """A number in [0, 1), uniform over units: the upper 53 bits of a 64-bit BLAKE2b hash."""
    text = f"{len(salt)}:{salt}|{epoch}|{unit}".encode()
    hashed = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
    return (hashed >> 11) * 2.0**-53


def draw(arms: Sequence[str], propensities: Mapping[str, float], salt: str, epoch: int, unit: str) -> str:
    """The arm of a unit during an epoch.

    Parameters
    ----------
    arms
        In the router's order, which is part of the draw.
    propensities
        Probability of choosing per arm, in [0, 1], summing to 1. An arm with 0 is never drawn.
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
