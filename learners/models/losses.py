"""What metrics and rewards share: the loss of a quantile, and the class that a distribution decides for."""

from __future__ import annotations

from headrace.schemas.domains import Distribution


def pinball(error: float, quantile: float) -> float:
    """Return the pinball loss ``max(q e, (q - 1) e)`` of an error ``e = label - score`` (equation 1 of [1]_).

    References
    ----------
    .. [1] Koenker, Bassett (1978). Regression Quantiles. Econometrica 46.

    Examples
    --------
    >>> pinball(10.0, 0.75), pinball(-10.0, 0.75)
    (7.5, 2.5)
    """
    return quantile * error if error >= 0.0 else (quantile - 1.0) * error


def likeliest(score: Distribution) -> str:
    """Return the class with the greatest share, of several the first.

    >>> likeliest({"carrier": 0.4, "weather": 0.6})
    'weather'
    """
    return max(score, key=score.__getitem__)
