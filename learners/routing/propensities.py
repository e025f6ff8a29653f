"""Propensity vectors that may be put in force."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

SUM_ERROR: Final = 1e-9


def propensity_fault(propensities: Mapping[str, float]) -> str | None:
    """Say why a vector may not be put in force; None when it may.

    Parameters
    ----------
    propensities
        Arm to the probability of choosing it: finite, not negative, summing to 1 within `SUM_ERROR`.

    Examples
    --------
    >>> propensity_fault({"tree": 0.5, "logistic": 0.5})
    >>> propensity_fault({"tree": float("nan"), "logistic": 0.5})
    "the propensity of arm 'tree' is nan"
    >>> propensity_fault({"tree": 0.5, "logistic": 0.4})
    'its propensities sum to 0.9'
    """
    for arm, propensity in propensities.items():
        if not math.isfinite(propensity) or propensity < 0.0:
            return f"the propensity of arm {arm!r} is {propensity:g}"
    total = math.fsum(propensities.values())
    return None if abs(total - 1.0) <= SUM_ERROR else f"its propensities sum to {total:.12g}"
