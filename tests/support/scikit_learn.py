"""What scikit-learn says of scores. It is imported when it is asked: that takes a second in every process."""

from __future__ import annotations

from typing import Any


def roc_auc(labels: Any, scores: Any) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores))


def log_loss(labels: Any, scores: Any) -> float:
    """Mean log loss of scores, clipped as scikit-learn does."""
    from sklearn import metrics

    return float(metrics.log_loss(labels, scores))
