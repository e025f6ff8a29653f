"""Metrics of numbers: MAE, RMSE, R², bias and, of a quantile, pinball loss, over all predictions."""

from __future__ import annotations

import math
import struct
from typing import Any

import headrace.learners.models.fast_import  # noqa: F401  (before anything of river)

# isort: split
from river import stats

from headrace.learners.models.losses import pinball
from headrace.schemas.domains import DomainSpec, Score
from headrace.schemas.label_reader import Label

_STATE = struct.Struct("<q6d")  # count; means of |e|, e², e, pinball and the label; squares about the last


class NumberMetrics:
    """Keeps running means, by river's `stats.Mean`, and the squares of labels about theirs [1]_.

    Parameters
    ----------
    domain
        Whether a quantile is predicted.

    References
    ----------
    .. [1] Welford (1962). Note on a method for calculating corrected sums of squares and products.

    Examples
    --------
    >>> metrics = NumberMetrics(DomainSpec(kind="number", low=0, high=10))
    >>> for score, label in ((3.0, 2.0), (5.0, 8.0)):
    ...     metrics.update(score, label)
    >>> metrics.summary()["mae"], metrics.summary()["bias"], round(metrics.summary()["r2"], 3)
    (2.0, -1.0, 0.444)
    """

    def __init__(self, domain: DomainSpec) -> None:
        self._quantile = domain.quantile
        self.count = 0
        self._absolute, self._squared, self._error = stats.Mean(), stats.Mean(), stats.Mean()
        self._pinball, self._label = stats.Mean(), stats.Mean()
        self._spread = 0.0

    @property
    def _means(self) -> tuple[stats.Mean, ...]:
        return self._absolute, self._squared, self._error, self._pinball, self._label

    def update(self, score: Score, label: Label) -> None:
        """Add a prediction and its label."""
        assert isinstance(score, float | int)
        assert isinstance(label, float | int)
        error, before = score - label, self._label.get()
        self.count += 1
        self._absolute.update(abs(error))
        self._squared.update(error * error)
        self._error.update(error)
        self._label.update(label)
        self._spread += (label - before) * (label - self._label.get())
        if self._quantile is not None:
            self._pinball.update(pinball(-error, self._quantile))

    def summary(self) -> dict[str, Any]:
        """Return ``count``, ``mae``, ``rmse``, ``r2``, ``bias`` and, of a quantile, ``pinball``.

        ``bias`` is the mean of score minus label, ``r2`` is 1 minus the sum of squared errors over that of
        squared differences of labels from their mean. None stands for what is undefined.
        """
        if not self.count:
            return {
                "count": 0,
                "mae": None,
                "rmse": None,
                "r2": None,
                "bias": None,
                **self._of_quantile(None),
            }
        squares = self._squared.get() * self.count
        return {
            "count": self.count,
            "mae": self._absolute.get(),
            "rmse": math.sqrt(self._squared.get()),
            "r2": 1.0 - squares / self._spread if self._spread > 0.0 else None,
            "bias": self._error.get(),
            **self._of_quantile(self._pinball.get()),
        }

    def _of_quantile(self, value: float | None) -> dict[str, float | None]:
        return {} if self._quantile is None else {"pinball": value}

    def to_bytes(self) -> bytes:
        """Encode the state."""
        return _STATE.pack(self.count, *(mean.get() for mean in self._means), self._spread)

    @classmethod
    def from_bytes(cls, data: bytes, domain: DomainSpec) -> NumberMetrics:
        """Decode what `to_bytes` encoded."""
        restored = cls(domain)
        restored.count, *means, restored._spread = _STATE.unpack(data)
        if restored.count:
            for mean, value in zip(restored._means, means, strict=True):
                mean.update(value, restored.count)
        return restored
