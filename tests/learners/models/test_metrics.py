"""Metrics equal scikit-learn's, ties included, and go on after a restart."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.learners.models.binary_metrics import WINDOW, auc, calibration, log_loss
from headrace.learners.models.metrics import ProgressiveValidation
from tests.support import scikit_learn

pairs = st.lists(st.tuples(st.integers(0, 8).map(lambda n: n / 8), st.booleans()), min_size=2, max_size=80)


@given(pairs)
def test_auc_equals_scikit_learns_with_ties(observed: list[tuple[float, bool]]) -> None:
    scores, labels = np.array([s for s, _ in observed]), np.array([y for _, y in observed])
    if labels.all() or not labels.any():
        assert math.isnan(auc(scores, labels))
    else:
        assert auc(scores, labels) == pytest.approx(scikit_learn.roc_auc(labels, scores), abs=1e-12)


def test_log_loss_is_clipped_and_equals_scikit_learns() -> None:
    assert log_loss(0.0, 1.0) == pytest.approx(-math.log(1e-6))
    assert log_loss(1.0, 0.0) == pytest.approx(-math.log(1e-6))
    expected = scikit_learn.log_loss([1, 0], [[0.3, 0.7], [0.8, 0.2]])
    assert (log_loss(0.7, 1.0) + log_loss(0.2, 0.0)) / 2 == pytest.approx(expected)


def test_calibration_bins_count_everything_once() -> None:
    bins = calibration(np.array([0.0, 0.05, 0.95, 1.0]), np.array([False, True, True, True]))
    assert [(b["count"], b["positives"]) for b in bins] == [(2, 0.5), (2, 1.0)]


def test_the_window_holds_the_last_ones_and_survives_a_restart() -> None:
    validation = ProgressiveValidation()
    for _ in range(WINDOW):
        validation.update(0.9, 0.0)
    source = np.random.default_rng(1)
    scores, labels = source.random(WINDOW), source.random(WINDOW) < 0.5
    for index, (score, label) in enumerate(zip(scores.tolist(), labels.tolist(), strict=True)):
        validation.update(score, float(label))
        if index == WINDOW // 3:
            validation = ProgressiveValidation.from_bytes(validation.to_bytes())
    summary = validation.summary()
    assert summary["count"] == 2 * WINDOW
    assert summary["auc"] == pytest.approx(scikit_learn.roc_auc(labels, scores), abs=1e-12)


def test_nothing_seen_is_no_metric() -> None:
    summary = ProgressiveValidation.from_bytes(ProgressiveValidation().to_bytes()).summary()
    areas = {"auc": None, "pr_auc": None, "calibration": [], "window": 0}
    assert summary == {"count": 0, "log_loss": None, **areas}


def test_figures_of_scores_beyond_all_measure_are_numbers_that_json_has() -> None:
    validation = ProgressiveValidation()
    for score in (1e308, 1e308, -1e308, 1.7e308, 5e-324, -0.0):
        validation.update(score, 1.0)
    figures = json.dumps(validation.summary(), allow_nan=False)
    low, high = json.loads(figures)["calibration"]
    assert (low["count"], high["count"]) == (3.0, 3.0)
