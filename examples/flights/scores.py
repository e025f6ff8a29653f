"""How good scores are: exact, from all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headrace.learners.models.metrics import auc

Array = NDArray[np.float64]


def roc_auc(labels: Array, scores: Array) -> float:
    """Area under the ROC curve; NaN when there is only one class."""
    return auc(scores, labels > 0.5)


def log_loss(labels: Array, scores: Array) -> float:
    """Mean negative log-likelihood, scores kept 1e-6 away from 0 and 1."""
    p = np.clip(scores, 1e-6, 1 - 1e-6)
    return float(-np.mean(np.where(labels > 0.5, np.log(p), np.log1p(-p))))


def calibration(labels: Array, scores: Array, bins: int = 10) -> tuple[Array, Array, Array]:
    """Mean score, observed frequency and count in bins of equally many scores; empty bins left out."""
    order = np.argsort(scores, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    predicted = np.array([scores[part].mean() for part in parts])
    observed = np.array([labels[part].mean() for part in parts])
    return predicted, observed, np.array([float(len(part)) for part in parts])


def calibration_error(labels: Array, scores: Array, bins: int = 10) -> float:
    """Expected calibration error: |score - frequency| over the bins of `calibration`, weighted by count."""
    predicted, observed, counts = calibration(labels, scores, bins)
    return float(np.average(np.abs(predicted - observed), weights=counts))
