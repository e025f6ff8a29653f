"""Every estimator that river exports, built with parameters of its own checks, or of this table."""

from __future__ import annotations

import importlib
import inspect
import math
import random
from collections.abc import Iterator
from typing import Any

from river import api, base, compose, dummy, linear_model, metrics, stats

_PARAMETERS: dict[str, dict[str, Any]] = {
    "Agg": {"on": "a", "by": "b", "how": stats.Mean()},
    "AutoCorr": {"lag": 2},
    "BayesianMean": {"prior": 1.0, "prior_weight": 2.0},
    "FBeta": {"beta": 2.0},
    "FuncTransformer": {"func": math.sqrt},
    "Grouper": {"transformer": compose.Select("a"), "by": "b"},
    "HorizonAggMetric": {"metric": metrics.MAE(), "agg_func": math.sqrt},
    "HorizonMetric": {"metric": metrics.MAE()},
    "Link": {"left": stats.Mean(), "right": stats.Mean()},
    "MacroFBeta": {"beta": 2.0},
    "MicroFBeta": {"beta": 2.0},
    "MultiFBeta": {"betas": {0: 1.0}, "weights": {0: 1.0}},
    "Optimizer": {"lr": 0.1},
    "PoissonInclusion": {"p": 0.5},
    "Prefixer": {"prefix": "x_"},
    "RandomOverSampler": {"classifier": dummy.PriorClassifier(), "desired_dist": {True: 0.5, False: 0.5}},
    "RandomSampler": {"classifier": dummy.PriorClassifier(), "desired_dist": {True: 0.5, False: 0.5}},
    "RandomUnderSampler": {"classifier": dummy.PriorClassifier(), "desired_dist": {True: 0.5, False: 0.5}},
    "Renamer": {"mapping": {"a": "b"}},
    "RollingQuantile": {"q": 0.5, "window_size": 3},
    "SDFT": {"window_size": 4},
    "Skyline": {"minimize": ["a"]},
    "SuccessiveHalvingClassifier": {
        "models": [linear_model.LogisticRegression(), linear_model.LogisticRegression(l2=0.1)],
        "metric": metrics.Accuracy(),
        "budget": 100,
    },
    "Suffixer": {"suffix": "_x"},
    "TargetAgg": {"by": "b", "how": stats.Mean()},
    "TargetMinMaxScaler": {"regressor": linear_model.LinearRegression()},
    "TargetStandardScaler": {"regressor": linear_model.LinearRegression()},
    "TargetTransformRegressor": {
        "regressor": linear_model.LinearRegression(),
        "func": math.log1p,
        "inverse_func": math.exp,
    },
    "WeightedFBeta": {"beta": 2.0},
    **{
        f"Rolling{name}": {"window_size": 3} for name in ("AbsMax", "IQR", "Max", "Min", "Mode", "PeakToPeak")
    },
}
_OTHER_INPUTS = {"ODAC", "Pipeline", "TextClust"}  # time series, nothing, texts
_NOT_HERE = {"ZstdClassifier"}  # wants Python 3.14


def river_packages() -> list[str]:
    """Names of the packages that river exports."""
    return [name for name in dir(api) if not name.startswith("_")]


def river_estimators(package: str) -> Iterator[tuple[str, Any]]:
    """Name and instance of every concrete class of a package with parameters that can be had here."""
    module = importlib.import_module(f"river.{package}")
    for name in getattr(module, "__all__", dir(module)):
        kind = getattr(module, name, None)
        if not inspect.isclass(kind) or not issubclass(kind, base.Base) or inspect.isabstract(kind):
            continue
        if name in _NOT_HERE:
            continue
        parameters = [_PARAMETERS[name]] if name in _PARAMETERS else kind._unit_test_params()
        for each in parameters:
            yield f"{package}.{name}", kind(**each)


def trained(model: Any, examples: int = 60) -> Any:
    """Train a model that takes numbers and has one target; return others as they are."""
    if not _takes_numbers(model):
        return model
    noise = random.Random(7)
    for _ in range(examples):
        x = {"a": noise.random(), "b": noise.random(), "c": noise.random()}
        if isinstance(model, base.Classifier):
            model.learn_one(x, x["a"] > x["b"])
        elif isinstance(model, base.Regressor):
            model.learn_one(x, x["a"] + x["b"])
        else:
            model.learn_one(x)
    return model


def _takes_numbers(model: Any) -> bool:
    kinds = (base.Classifier, base.Regressor, base.Clusterer, base.AnomalyDetector)
    several_targets = (base.MultiLabelClassifier, base.MultiTargetRegressor)
    if type(model).__name__ in _OTHER_INPUTS or ".reco." in type(model).__module__:
        return False
    return isinstance(model, kinds) and not isinstance(model, several_targets)
