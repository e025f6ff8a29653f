"""Metrics of binary targets: log loss over all, ROC AUC, PR AUC and calibration over a window, exact."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.schemas.domains import Score
from headrace.schemas.label_reader import Label

Array = NDArray[np.float64]
CLIP = 1e-6
WINDOW = 10_000
BINS = 10
_MOST_SCORE = 1e300  # of a regressor, whose scores may be any numbers: sums of them are finite


def auc(scores: Array, labels: NDArray[np.bool_]) -> float:
    """Return the exact area under the ROC curve; NaN while there is only one class.

    The share of pairs of a positive and a negative in which the positive ranks higher, ties counted half: the
    statistic U of [1]_ divided by the number of pairs.

    Parameters
    ----------
    scores
        Of shape (n,).
    labels
        Of shape (n,), True for positives.

    References
    ----------
    .. [1] Mann, Whitney (1947). On a test of whether one of two random variables is stochastically larger
       than the other.

    Examples
    --------
    >>> auc(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if positives == 0 or negatives == 0:
        return math.nan
    lows, highs = np.sort(scores[~labels]), np.sort(scores[labels])
    below = np.searchsorted(lows, highs, "left").sum() + np.searchsorted(lows, highs, "right").sum()
    return float(below / (2.0 * positives * negatives))


def average_precision(scores: Array, labels: NDArray[np.bool_]) -> float:
    """Return the area under the precision-recall curve; NaN without positives.

    ``sum (R_n - R_{n-1}) P_n`` over the thresholds from the highest score down, without interpolation
    (section 8.4 of [1]_); scores that are equal are one threshold.

    Parameters
    ----------
    scores
        Of shape (n,).
    labels
        Of shape (n,), True for positives.

    References
    ----------
    .. [1] Manning, Raghavan, Schütze (2008). Introduction to Information Retrieval.

    Examples
    --------
    >>> average_precision(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False]))
    0.8333333333333333
    """
    positives = int(labels.sum())
    if positives == 0:
        return math.nan
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(labels[order])
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # of each threshold
    gained = np.diff(hits[last], prepend=0)
    return float((gained * hits[last] / (last + 1.0)).sum() / positives)


def log_loss(score: float, label: float) -> float:
    """Return ``-(y ln p + (1 - y) ln (1 - p))`` for label y and score p, kept in [1e-6, 1 - 1e-6].

    Examples
    --------
    >>> round(log_loss(0.8, 1.0), 4), round(log_loss(0.0, 1.0), 4)
    (0.2231, 13.8155)
    """
    p = min(1.0 - CLIP, max(CLIP, score))
    return -(label * math.log(p) + (1.0 - label) * math.log1p(-p))


def calibration(scores: Array, labels: NDArray[np.bool_], bins: int = BINS) -> list[dict[str, float]]:
    """Compare scores with what happened, in bins of equal width.

    Parameters
    ----------
    scores
        Of shape (n,), in [0, 1].
    labels
        Of shape (n,), True for positives.
    bins
        Number of bins.

    Returns
    -------
    list of dict
        For each bin that is not empty, lowest first: ``count``, ``mean_score``, and ``positives``, the share
        of positives.

    Examples
    --------
    >>> calibration(np.array([0.25, 0.25, 0.75]), np.array([False, True, True]), bins=2)[0]
    {'count': 2.0, 'mean_score': 0.25, 'positives': 0.5}
    """
    scores = scores.clip(-_MOST_SCORE, _MOST_SCORE)
    numbers = np.minimum((scores.clip(0.0, 1.0) * bins).astype(np.int64), bins - 1)
    counts = np.bincount(numbers, minlength=bins)
    sums = np.bincount(numbers, scores, bins)
    positives = np.bincount(numbers, labels, bins)
    return [
        {"count": float(count), "mean_score": float(total / count), "positives": float(positive / count)}
        for count, total, positive in zip(counts, sums, positives, strict=True)
        if count
    ]


class BinaryMetrics:
    """Keeps the count and log loss of all predictions, and the last 10,000 for exact areas and calibration.

    Examples
    --------
    >>> validation = BinaryMetrics()
    >>> for score, label in ((0.9, 1.0), (0.2, 0.0), (0.6, 0.0)):
    ...     validation.update(score, label)
    >>> summary = validation.summary()
    >>> summary["count"], round(summary["log_loss"], 4), summary["auc"]
    (3, 0.4149, 1.0)
    """

    def __init__(self) -> None:
        self.count = 0
        self.loss = 0.0
        self._scores: Array = np.zeros(WINDOW)
        self._labels: NDArray[np.bool_] = np.zeros(WINDOW, dtype=np.bool_)

    def update(self, score: Score, label: Label) -> None:
        """Add a prediction, a score in [0, 1], and its label, positive from 0.5 on."""
        assert isinstance(score, float | int)
        assert isinstance(label, float | int)
        slot = self.count % WINDOW
        self._scores[slot] = score
        self._labels[slot] = label >= 0.5
        self.count += 1
        self.loss += log_loss(score, float(label >= 0.5))

    def summary(self) -> dict[str, Any]:
        """Return ``count``, mean ``log_loss``, ``auc``, ``pr_auc`` and ``calibration``.

        The last three are over the last ``window`` predictions. None stands for what is undefined.
        """
        n = min(self.count, WINDOW)
        scores, labels = self._scores[:n], self._labels[:n]
        roc, pr = auc(scores, labels), average_precision(scores, labels)
        return {
            "count": self.count,
            "log_loss": self.loss / self.count if self.count else None,
            "auc": None if math.isnan(roc) else roc,
            "pr_auc": None if math.isnan(pr) else pr,
            "calibration": calibration(scores, labels),
            "window": n,
        }

    def to_bytes(self) -> bytes:
        """Encode the state: i64 count, f64 loss, f64 scores and bool labels of the window, little endian."""
        n = min(self.count, WINDOW)
        head = np.array([self.count], dtype="<i8").tobytes() + np.array([self.loss], dtype="<f8").tobytes()
        return head + self._scores[:n].astype("<f8").tobytes() + self._labels[:n].tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> BinaryMetrics:
        """Decode what `to_bytes` encoded."""
        restored = cls()
        restored.count = int(np.frombuffer(data, "<i8", 1)[0])
        restored.loss = float(np.frombuffer(data, "<f8", 1, offset=8)[0])
        n = min(restored.count, WINDOW)
        restored._scores[:n] = np.frombuffer(data, "<f8", n, offset=16)
        restored._labels[:n] = np.frombuffer(data, np.bool_, n, offset=16 + 8 * n)
        return restored
