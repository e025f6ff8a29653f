"""Posteriors of an arm's mean reward, and the probability that an arm is the best.

References
----------
.. [1] Russo, Van Roy, Kazerouni, Osband, Wen (2018). A Tutorial on Thompson Sampling, sections 3-4 and
   (for the discount) 6.3.
.. [2] Murphy (2007). Conjugate Bayesian analysis of the Gaussian distribution, equations 141-145 and 149.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]
_TAILS = 10.0 ** np.array([-10.0, -8.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.3])
_LEVELS = np.concatenate([_TAILS, [0.15, 0.3, 0.5, 0.7, 0.85], 1.0 - _TAILS[::-1]])
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)


@dataclass(frozen=True)
class Evidence:
    """Sufficient statistics of rewards, which may be discounted.

    Parameters
    ----------
    count
        Number of rewards.
    total
        Their sum.
    squares
        Sum of their squares.

    Examples
    --------
    >>> Evidence().add(1.0).add(0.5)
    Evidence(count=2.0, total=1.5, squares=1.25)
    >>> Evidence(2.0, 1.5, 1.25).discounted(0.5)
    Evidence(count=1.0, total=0.75, squares=0.625)
    """

    count: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def add(self, reward: float) -> Evidence:
        """Return the evidence with one more reward."""
        return Evidence(self.count + 1.0, self.total + reward, self.squares + reward * reward)

    def merge(self, other: Evidence) -> Evidence:
        """Return the evidence of both."""
        return Evidence(self.count + other.count, self.total + other.total, self.squares + other.squares)

    def discounted(self, factor: float) -> Evidence:
        """Return the evidence with all weights times `factor`: equation 6.2 of [1]_, the prior kept whole."""
        return Evidence(self.count * factor, self.total * factor, self.squares * factor)


class Posterior(Protocol):
    """A distribution of a mean reward."""

    def cdf(self, x: Array) -> Array:
        """Return the probability of a mean of at most `x`, element by element."""

    def pdf(self, x: Array) -> Array:
        """Return the density at `x`, element by element."""

    def quantiles(self, levels: Array) -> Array:
        """Return the means below which the probability is `levels`, element by element."""

    def parameters(self) -> dict[str, float]:
        """Return the parameters by name, for the record of an epoch."""


@dataclass(frozen=True)
class BetaPosterior:
    """Beta posterior of Bernoulli rewards under a uniform prior (algorithm 3.2 of [1]_).

    ``alpha = 1 + sum r`` and ``beta = 1 + sum (1 - r)``. Fractional rewards in [0, 1] count in parts on both
    sides.

    Examples
    --------
    >>> BetaPosterior.of(Evidence(count=10, total=8, squares=8))
    BetaPosterior(alpha=9.0, beta=3.0)
    """

    alpha: float
    beta: float

    @classmethod
    def of(cls, evidence: Evidence) -> BetaPosterior:
        """Return the posterior given rewards."""
        return cls(1.0 + evidence.total, 1.0 + max(0.0, evidence.count - evidence.total))

    def cdf(self, x: Array) -> Array:
        return np.asarray(special.betainc(self.alpha, self.beta, np.clip(x, 0.0, 1.0)))

    def pdf(self, x: Array) -> Array:
        logs = special.xlogy(self.alpha - 1.0, x) + special.xlog1py(self.beta - 1.0, -x)
        return np.asarray(np.exp(logs - special.betaln(self.alpha, self.beta)))

    def quantiles(self, levels: Array) -> Array:
        return np.asarray(special.betaincinv(self.alpha, self.beta, levels))

    def parameters(self) -> dict[str, float]:
        return {"alpha": self.alpha, "beta": self.beta}


@dataclass(frozen=True)
class NormalPosterior:
    """Marginal of the mean under a normal-inverse-gamma posterior: Student's t (equation 149 of [2]_).

    The prior is weak: mean 0.5 worth a tenth of an observation, shape 1, rate 0.1.

    Parameters
    ----------
    freedom
        Degrees of freedom: 2 and the number of rewards.
    mean
        Location.
    scale
        Scale, above 0.

    Examples
    --------
    >>> posterior = NormalPosterior.of(Evidence(count=4, total=20, squares=102))
    >>> posterior.freedom, round(posterior.mean, 3), round(posterior.scale, 3)
    (6.0, 4.89, 0.412)
    """

    freedom: float
    mean: float
    scale: float

    @classmethod
    def of(cls, evidence: Evidence) -> NormalPosterior:
        """Return the posterior given rewards: equations 141-145 of [2]_."""
        prior_mean, prior_count, shape, rate = 0.5, 0.1, 1.0, 0.1
        n = evidence.count
        average = evidence.total / n if n > 0.0 else prior_mean
        spread = max(0.0, evidence.squares - n * average * average)
        count = prior_count + n
        mean = (prior_count * prior_mean + evidence.total) / count
        shape += n / 2.0
        rate += spread / 2.0 + prior_count * n * (average - prior_mean) ** 2 / (2.0 * count)
        return cls(2.0 * shape, mean, float(np.sqrt(rate / (shape * count))))

    def cdf(self, x: Array) -> Array:
        return np.asarray(special.stdtr(self.freedom, (x - self.mean) / self.scale))

    def pdf(self, x: Array) -> Array:
        half = (self.freedom + 1.0) / 2.0
        log_norm = special.gammaln(half) - special.gammaln(self.freedom / 2.0)
        log_norm -= 0.5 * np.log(self.freedom * np.pi) + np.log(self.scale)
        z = (x - self.mean) / self.scale
        return np.asarray(np.exp(log_norm - half * np.log1p(z * z / self.freedom)))

    def quantiles(self, levels: Array) -> Array:
        return np.asarray(self.mean + self.scale * special.stdtrit(self.freedom, levels))

    def parameters(self) -> dict[str, float]:
        return {"freedom": self.freedom, "mean": self.mean, "scale": self.scale}


def probability_best(posteriors: Sequence[Posterior]) -> Array:
    """Return the probability of each arm to have the greatest mean reward.

    ``P(i) = integral of pdf_i(x) * product over j != i of cdf_j(x) dx``, by Gauss-Legendre quadrature on
    panels between the quantiles of all arms, so that every density is resolved however narrow it is.

    Returns
    -------
    ndarray
        Of shape (arms,) and dtype float64, summing to 1.

    Examples
    --------
    >>> probability_best([BetaPosterior(9.0, 3.0), BetaPosterior(6.0, 6.0)]).round(3)
    array([0.909, 0.091])
    """
    if len(posteriors) == 1:
        return np.ones(1)
    x, weights = _grid(posterior.quantiles(_LEVELS) for posterior in posteriors)
    cdfs = np.stack([posterior.cdf(x) for posterior in posteriors])
    pdfs = np.stack([posterior.pdf(x) for posterior in posteriors])
    best = np.empty(len(posteriors))
    for arm in range(len(posteriors)):
        best[arm] = weights @ (pdfs[arm] * np.prod(np.delete(cdfs, arm, axis=0), axis=0))
    best = np.clip(best, 0.0, 1.0)
    return np.asarray(best / best.sum())


def _grid(quantiles: Iterable[Array]) -> tuple[Array, Array]:
    """Return nodes and weights of the panels, both of shape (panels * nodes,)."""
    edges = np.unique(np.concatenate(list(quantiles)))
    middles, halves = (edges[1:] + edges[:-1]) / 2.0, np.diff(edges) / 2.0
    return (middles[:, None] + halves[:, None] * _NODES).ravel(), (halves[:, None] * _WEIGHTS).ravel()
