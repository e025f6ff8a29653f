"""Progressive validation: how well a model predicted what it had not yet learned."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
CLIP = 1e-6
WINDOW = 10_000
BINS = 10


def auc(scores: Array, labels: NDArray[np.bool_]) -> float:
    """Exact area under the ROC curve; NaN while only one class was seen.

    The statistic of Mann and Whitney (1947): the share of pairs of a positive and a negative in which the
    positive ranks higher, ties counted half.

    Parameters
    ----------
    scores, labels
        Both of shape (n,).
    """
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if positives == 0 or negatives == 0:
        return math.nan
    lows, highs = np.sort(scores[~labels]), np.sort(scores[labels])
    below = np.searchsorted(lows, highs, "left").sum() + np.searchsorted(lows, highs, "right").sum()
    return float(below / (2.0 * positives * negatives))


def log_loss(score: float, label: float) -> float:
    """-(y ln p + (1 - y) ln (1 - p)), p kept within 1e-6 of the borders."""
    p = min(1.0 - CLIP, max(CLIP, score))
    return -(label * math.log(p) + (1.0 - label) * math.log1p(-p))


def calibration(scores: Array, labels: NDArray[np.bool_], bins: int = BINS) -> list[dict[str, float]]:
    """Per bin of equal width that is not empty: count, mean score, share of positives."""
    numbers = np.clip((scores * bins).astype(np.int64), 0, bins - 1)
    counts = np.bincount(numbers, minlength=bins)
    sums = np.bincount(numbers, scores, bins)
    positives = np.bincount(numbers, labels, bins)
    return [
        {"count": float(count), "mean_score": float(total / count), "positives": float(found / count)}
        for count, total, found in zip(counts, sums, positives, strict=True)
        if count
    ]


class ProgressiveValidation:
    """Count and log loss of everything scored, exact AUC and calibration of the last 10,000."""

    def __init__(self) -> None:
        self.count = 0
        self.loss = 0.0
        self._scores: Array = np.zeros(WINDOW)
        self._labels: NDArray[np.bool_] = np.zeros(WINDOW, dtype=np.bool_)

    def update(self, score: float, label: float) -> None:
        slot = self.count % WINDOW
        self._scores[slot] = score
        self._labels[slot] = label >= 0.5
        self.count += 1
        self.loss += log_loss(score, float(label >= 0.5))

    def summary(self) -> dict[str, Any]:
        """JSON: count, mean log loss, AUC (None while undefined), bins of calibration."""
        n = min(self.count, WINDOW)
        scores, labels = self._scores[:n], self._labels[:n]
        area = auc(scores, labels)
        return {
            "count": self.count,
            "log_loss": self.loss / self.count if self.count else None,
            "auc": None if math.isnan(area) else area,
            "calibration": calibration(scores, labels),
        }

    def to_bytes(self) -> bytes:
        """Everything needed to go on: loss and window, little endian."""
        n = min(self.count, WINDOW)
        head = np.array([self.count], dtype="<i8").tobytes() + np.array([self.loss], dtype="<f8").tobytes()
        return head + self._scores[:n].astype("<f8").tobytes() + self._labels[:n].tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> ProgressiveValidation:
        restored = cls()
        restored.count = int(np.frombuffer(data, "<i8", 1)[0])
        restored.loss = float(np.frombuffer(data, "<f8", 1, offset=8)[0])
        n = min(restored.count, WINDOW)
        restored._scores[:n] = np.frombuffer(data, "<f8", n, offset=16)
        restored._labels[:n] = np.frombuffer(data, np.bool_, n, offset=16 + 8 * n)
        return restored
