"""Asking and teaching one river model; what the trainer and the router both do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from river import compose

from headrace.schemas.records import Value

Features = Mapping[str, Value]


def score(model: Any, x: Features) -> float:
    """The probability of the label, or the predicted number for a regressor.

    A classifier that knows no class yet scores 0.5.

    Raises
    ------
    ValueError
        When the model answers with something that is no finite number.
    """
    if not is_classifier(model):
        answer = float(model.predict_one(x))
    else:
        classes: Mapping[Any, float] = model.predict_proba_one(x)
        answer = float(classes.get(True, 0.0)) if classes else 0.5
    if not math.isfinite(answer):
        raise ValueError(f"the model answers {answer}")
    return answer


def score_and_learn(model: Any, x: Features, label: float) -> float:
    """`score`, then `learn`. What functions at the head of a pipeline make of `x` is made once for both.

    Raises
    ------
    ValueError
        As `score`; nothing is learned then.
    """
    model, x = _without_functions(model, x)
    predicted = score(model, x)
    learn(model, x, label)
    return predicted


def learn(model: Any, x: Features, label: float) -> None:
    """Learn one label: as a bool (at least 0.5) for a classifier, as the number itself otherwise."""
    model.learn_one(x, label >= 0.5 if is_classifier(model) else label)


def _without_functions(model: Any, x: Features) -> tuple[Any, Features]:
    """The last step of a pipeline whose other steps are functions, and what it sees; else both as given."""
    if type(model) is not compose.Pipeline:
        return model, x
    *head, last = model.steps.values()
    if any(type(step) is not compose.FuncTransformer for step in head):
        return model, x
    for step in head:
        x = step.transform_one(x)
    return last, x


def is_classifier(model: Any) -> bool:
    """Whether the model, or the last step of the pipeline, predicts classes."""
    while isinstance(steps := getattr(model, "steps", None), dict):
        model = steps[next(reversed(steps))]
    return hasattr(model, "predict_proba_one")
