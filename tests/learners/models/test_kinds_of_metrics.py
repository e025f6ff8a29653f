"""Metrics of each kind equal sums over all that was seen, go on after a restart, and stay small."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import metrics as rivers

from headrace.learners.models.binary_metrics import average_precision
from headrace.learners.models.metrics import ProgressiveValidation
from headrace.schemas.domains import DomainSpec
from headrace.schemas.errors import StateError

NUMBER = DomainSpec(kind="number", low=-1e6, high=1e6)
QUANTILE = DomainSpec(kind="number", low=-1e6, high=1e6, quantile=0.8)
CLASSES = ("a", "b", "c", "d")
CATEGORY = DomainSpec(kind="category", classes=CLASSES)

numbers = st.floats(-1e6, 1e6).map(lambda n: round(n, 3))
shares = st.lists(st.integers(0, 5), min_size=4, max_size=4).filter(any)


def validated(domain: DomainSpec, pairs: list[tuple[Any, Any]], restarts: int) -> ProgressiveValidation:
    validation = ProgressiveValidation(domain)
    for number, (score, label) in enumerate(pairs):
        if number % 3 == restarts:
            validation = ProgressiveValidation.from_bytes(validation.to_bytes())
        validation.update(score, label)
    return validation


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=60), st.integers(0, 3))
def test_figures_of_numbers_equal_those_of_whole_arrays_and_rivers(
    pairs: list[tuple[float, float]], restarts: int
) -> None:
    found = validated(QUANTILE, pairs, restarts).summary()
    scores, labels = np.array(pairs).T
    errors = labels - scores
    assert found["count"] == len(pairs)
    assert found["mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-9, abs=1e-9)
    assert found["rmse"] == pytest.approx(math.sqrt((errors**2).mean()), rel=1e-9, abs=1e-9)
    assert found["bias"] == pytest.approx((scores - labels).mean(), rel=1e-6, abs=1e-6)
    losses = np.where(errors >= 0, 0.8 * errors, -0.2 * errors)
    assert found["pinball"] == pytest.approx(losses.mean(), rel=1e-9, abs=1e-9)
    about = ((labels - labels.mean()) ** 2).sum()
    if len({*labels.tolist()}) > 1:
        assert 1 - found["r2"] == pytest.approx((errors**2).sum() / about, rel=1e-6)
    mae, rmse = rivers.MAE(), rivers.RMSE()
    for score, label in pairs:
        mae.update(label, score)
        rmse.update(label, score)
    assert (found["mae"], found["rmse"]) == pytest.approx((mae.get(), rmse.get()), rel=1e-9, abs=1e-12)


def test_one_number_has_no_r2_and_a_mean_no_pinball_loss() -> None:
    found = validated(NUMBER, [(3.0, 5.0)], 3).summary()
    assert found == {"count": 1, "mae": 2.0, "rmse": 2.0, "r2": None, "bias": -2.0}
    assert ProgressiveValidation(NUMBER).summary()["mae"] is None


@given(st.lists(st.tuples(shares, st.sampled_from(CLASSES)), min_size=1, max_size=60), st.integers(0, 3))
def test_figures_of_categories_equal_those_counted_by_hand(
    pairs: list[tuple[list[int], str]], restarts: int
) -> None:
    scored = [
        (dict(zip(CLASSES, (n / sum(parts) for n in parts), strict=True)), label) for parts, label in pairs
    ]
    found = validated(CATEGORY, scored, restarts).summary()
    losses = [-math.log(min(1 - 1e-6, max(1e-6, score[label]))) for score, label in scored]
    assert found["log_loss"] == pytest.approx(sum(losses) / len(losses))
    decided = [(CLASSES[int(np.argmax(parts))], label) for parts, label in pairs]
    assert found["accuracy"] == pytest.approx(sum(a == b for a, b in decided) / len(decided))
    f1 = []
    for one in CLASSES:
        both = sum(a == b == one for a, b in decided)
        either = sum(a == one for a, _ in decided) + sum(b == one for _, b in decided)
        f1 += [2 * both / either] if either else []
    assert found["macro_f1"] == pytest.approx(sum(f1) / len(f1))


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=60))
def test_average_precision_equals_the_sum_over_thresholds(pairs: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([float(s) for s, _ in pairs]), np.array([y for _, y in pairs])
    found = average_precision(scores, labels)
    if not labels.any():
        assert math.isnan(found)
        return
    expected, before = 0.0, 0.0
    for threshold in sorted({*scores.tolist()}, reverse=True):
        taken = scores >= threshold
        recall = (labels & taken).sum() / labels.sum()
        expected += (recall - before) * (labels & taken).sum() / taken.sum()
        before = recall
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("domain", [DomainSpec(), NUMBER, QUANTILE, CATEGORY])
def test_nothing_seen_is_no_figure_and_the_state_stays_small(domain: DomainSpec) -> None:
    empty = ProgressiveValidation.from_bytes(ProgressiveValidation(domain).to_bytes())
    assert not any(value for value in empty.summary().values())
    score, label = (dict.fromkeys(CLASSES, 0.25), "a") if domain == CATEGORY else (0.5, 1.0)
    for _ in range(11_000):
        empty.update(score, label)
    assert json.loads(json.dumps(empty.summary(), allow_nan=False))["count"] == 11_000
    assert len(empty.to_bytes()) < 10_000 * 9 + 500


def test_damaged_figures_are_refused_with_a_remedy() -> None:
    whole = ProgressiveValidation(NUMBER).to_bytes()
    for damaged in (whole[:-1], whole[:30], b"", whole.replace(b'"v": 2', b'"v": 7')):
        with pytest.raises(StateError, match="headrace retrain"):
            ProgressiveValidation.from_bytes(damaged)
