"""Metrics of scores, exact and over all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headrace.learners.models.binary_metrics import auc

Array = NDArray[np.float64]


def roc_auc(labels: Array, scores: Array) -> float:
    """Return the area under the ROC curve; NaN when there is only one class."""
    return auc(scores, labels > 0.5)


def log_loss(labels: Array, scores: Array) -> float:
    """Return the mean negative log-likelihood, with scores kept in [1e-6, 1 - 1e-6]."""
    p = np.clip(scores, 1e-6, 1 - 1e-6)
    return float(-np.mean(np.where(labels > 0.5, np.log(p), np.log1p(-p))))


def calibration(labels: Array, scores: Array, bins: int = 10) -> tuple[Array, Array, Array]:
    """Return mean score, observed frequency and count of bins of equally many scores, without empty ones."""
    order = np.argsort(scores, kind="stable")
    members = [rows for rows in np.array_split(order, bins) if len(rows)]
    predicted = np.array([scores[rows].mean() for rows in members])
    observed = np.array([labels[rows].mean() for rows in members])
    return predicted, observed, np.array([float(len(rows)) for rows in members])


def calibration_error(labels: Array, scores: Array, bins: int = 10) -> float:
    """Return the expected calibration error: mean |score - frequency| of the bins, weighted by count."""
    predicted, observed, counts = calibration(labels, scores, bins)
    return float(np.average(np.abs(predicted - observed), weights=counts))
