"""The comparison on October to December: every arm, and gradient boosting trained on all months before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from examples.flights.scores import calibration_error, log_loss, roc_auc
from examples.flights.times import HOUR_MS, MINUTE_MS

SPLIT_MS = int(pd.Timestamp("2013-10-01", tz="America/New_York").timestamp() * 1000)
STATIC_VIEWS = ("feature.planes__", "feature.airports__")
CATEGORIES = ("entity.carrier", "entity.origin", "entity.dest")
# Identities, and times, which mean something only as differences.
NOT_USED = ("request.flight_id", "request.flight", "request.departs_ms")


@dataclass(frozen=True)
class Result:
    """Metrics of one model on labels it had not seen; `traffic` is its share of answers, NaN for no arm."""

    name: str
    log_loss: float
    auc: float
    calibration_error: float
    traffic: float = float("nan")


def arms_of(examples: pd.DataFrame) -> list[str]:
    """Return the arms that examples have scores of."""
    return [name.removeprefix("score.") for name in examples.columns if name.startswith("score.")]


def score_arms(examples: pd.DataFrame) -> list[Result]:
    """Evaluate every arm on its scores as they were served before the label came: progressive validation."""
    labels = examples["label"].to_numpy(np.float64)
    results = []
    for arm in arms_of(examples):
        scores = examples[f"score.{arm}"].to_numpy(np.float64)
        answered = ~np.isnan(scores)
        traffic = float((examples["chosen"] == arm).mean())
        results.append(_result(arm, labels[answered], scores[answered], traffic))
    return results


def compare(examples: pd.DataFrame) -> list[Result]:
    """Evaluate arms and batch models on the flights from `SPLIT_MS` on; empty when there are none.

    Batch models are trained on all flights before, once on features of the timetable and the registers, and
    once on the features that were served to the arms.
    """
    after = examples["ts_ms"] >= SPLIT_MS
    if not after.any() or after.all():
        return []
    static, served = static_features(examples), served_features(examples)
    return [
        *score_arms(examples[after]),
        _boosted("batch boosting, static features", static, examples["label"], after),
        _boosted("batch boosting, served features", served, examples["label"], after),
    ]


def static_features(examples: pd.DataFrame) -> pd.DataFrame:
    """Return the features that are known weeks before."""
    names = [n for n in examples.columns if n.startswith(("request.", *STATIC_VIEWS)) and n not in NOT_USED]
    return pd.DataFrame({name: examples[name].astype("float64") for name in names} | _categories(examples))


def served_features(examples: pd.DataFrame) -> pd.DataFrame:
    """Return all served features with the request's; times as hours before departure."""
    departs_ms = examples["request.departs_ms"]
    names = [n for n in examples.columns if n.startswith("feature.") and not n.startswith(STATIC_VIEWS)]
    columns = {
        name: (departs_ms - examples[name]) / HOUR_MS if "__event_ms_" in name else examples[name]
        for name in names
    }
    landed = examples["feature.aircraft_arrivals__event_ms_last_3d"]
    back = examples["feature.aircraft_arrivals__block_minutes_last_3d"]
    columns["slack"] = (departs_ms - landed) / MINUTE_MS - back
    numbers = pd.DataFrame(columns).astype("float64")
    return pd.concat([static_features(examples), numbers], axis=1)


def _categories(examples: pd.DataFrame) -> dict[str, pd.Series]:
    return {name: examples[name].astype("category") for name in CATEGORIES}


def _boosted(name: str, features: pd.DataFrame, labels: pd.Series, after: pd.Series) -> Result:
    from sklearn.ensemble import HistGradientBoostingClassifier  # seconds, and the year alone needs it

    model = HistGradientBoostingClassifier(
        max_iter=200, learning_rate=0.06, categorical_features="from_dtype", random_state=0
    )
    model.fit(features[~after], labels[~after])
    scores = model.predict_proba(features[after])[:, 1]
    return _result(name, labels[after].to_numpy(np.float64), scores)


def _result(name: str, labels: np.ndarray, scores: np.ndarray, traffic: float = float("nan")) -> Result:
    if not len(labels):
        return Result(name, float("nan"), float("nan"), float("nan"), traffic)
    return Result(
        name, log_loss(labels, scores), roc_auc(labels, scores), calibration_error(labels, scores), traffic
    )
