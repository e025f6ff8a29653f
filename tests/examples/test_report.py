"""Scores are exact, counts that do not add up are told, and the page is complete."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.flights.comparison import SPLIT_MS, compare, score_arms
from examples.flights.counts import discrepancies
from examples.flights.report import Run, render
from examples.flights.scores import calibration_error, log_loss, roc_auc
from examples.flights.times import HOUR_MS
from tests.support import scikit_learn

ARMS = ("base_rate", "binned_regression")
pairs = st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.25, 0.5, 0.9])), min_size=2).filter(
    lambda found: len({label for label, _ in found}) == 2
)


@given(pairs)
def test_scores_are_those_of_scikit_learn(found: list[tuple[bool, float]]) -> None:
    labels, scores = (np.array(column, float) for column in zip(*found, strict=True))
    assert roc_auc(labels, scores) == pytest.approx(scikit_learn.roc_auc(labels, scores))
    assert log_loss(labels, scores) == pytest.approx(scikit_learn.log_loss(labels, scores))


def test_one_class_has_no_auc() -> None:
    assert np.isnan(roc_auc(np.ones(3), np.array([0.1, 0.2, 0.3])))


def test_a_model_that_says_what_happens_is_calibrated() -> None:
    labels = np.tile([0.0, 0.0, 0.0, 1.0], 1000)
    assert calibration_error(labels, np.full(4000, 0.25)) == pytest.approx(0, abs=0.02)
    assert calibration_error(labels, np.full(4000, 0.75)) == pytest.approx(0.5, abs=0.02)


def test_counts_that_add_up_give_no_discrepancy() -> None:
    assert discrepancies(counts(), {"flights.arrivals": 9}, {"flights.arrivals": 2}, 10, 9) == []


@pytest.mark.parametrize(
    ("stage", "name"),
    [("intake|flights.arrivals", "applied"), ("intake|flights.arrivals", "late"), ("join|delays", "pending")],
)
def test_a_record_too_many_is_told(stage: str, name: str) -> None:
    wrong = counts()
    wrong[stage][name] += 1
    assert discrepancies(wrong, {"flights.arrivals": 9}, {"flights.arrivals": 2}, 10, 9)


def counts() -> dict[str, Counter[str]]:
    return {
        "intake|flights.arrivals": Counter(applied=9, late=0, dead=0, marks=2),
        "join|delays": Counter(predictions=10, matched=9, censored=1, examples=9),
    }


@pytest.fixture
def examples() -> pd.DataFrame:
    """Examples across the split, labels that follow one feature."""
    draw = np.random.default_rng(7)
    size = 1200
    ts_ms = SPLIT_MS - 600 * HOUR_MS + np.arange(size) * HOUR_MS
    delay = draw.normal(10, 20, size)
    label = (delay + draw.normal(0, 15, size) > 20).astype(float)
    columns = {
        "example_id": [f"flight-{n}" for n in range(size)],
        "ts_ms": ts_ms,
        "label_ts_ms": ts_ms + 5 * HOUR_MS,
        "label": label,
        "chosen": draw.choice(ARMS, size),
        "feature.origin_departures__dep_delay_mean_1h": delay,
        "feature.aircraft_arrivals__event_ms_last_3d": (ts_ms - 9 * HOUR_MS).astype(float),
        "feature.aircraft_arrivals__block_minutes_last_3d": np.full(size, 120.0),
        "feature.planes__seats": draw.integers(50, 300, size).astype(float),
        "request.flight_id": "x",
        "request.flight": "UA1",
        "request.departs_ms": ts_ms + HOUR_MS,
        "request.distance": draw.integers(100, 3000, size),
        "entity.carrier": draw.choice(["UA", "B6"], size),
        "entity.origin": draw.choice(["EWR", "JFK"], size),
        "entity.dest": draw.choice(["IAH", "LAX"], size),
        "score.base_rate": 0.25,
        "score.binned_regression": 1 / (1 + np.exp(1 - delay / 10)),
    }
    return pd.DataFrame(columns)


def test_every_arm_is_scored_on_what_it_served(examples: pd.DataFrame) -> None:
    results = {result.name: result for result in score_arms(examples)}
    assert results["base_rate"].auc == 0.5
    assert results["binned_regression"].auc > 0.8
    assert sum(result.traffic for result in results.values()) == pytest.approx(1.0)


def test_batch_models_are_compared_after_the_split_alone(examples: pd.DataFrame) -> None:
    results = {result.name: result for result in compare(examples)}
    static, served = results["batch boosting, static features"], results["batch boosting, served features"]
    assert static.auc < 0.65 < served.auc
    assert compare(examples[examples["ts_ms"] < SPLIT_MS]) == []


def test_the_page_is_complete_and_stands_alone(examples: pd.DataFrame) -> None:
    run = Run("A year", 60.0, 5000, 1300, {"flights": 1300, "without_departure": 7}, counts())
    page = render(examples, run)
    assert page.count("<svg") == 4
    for text in ("The honest comparison", *ARMS, "Calibration", "Label delay", "matched 9", "5,000"):
        assert text in page
    assert 'src="' not in page
    assert "<link" not in page


def test_the_page_tells_what_does_not_add_up(examples: pd.DataFrame) -> None:
    run = Run("A run", 1.0, 1, 1, {}, {}, ("events: 3 expected, 2 found",))
    assert "events: 3 expected, 2 found" in render(examples.head(300), run)
