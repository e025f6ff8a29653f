"""Scoring and training of one river model, the same in the trainer and in the router."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import headrace.learners.models.fast_import  # noqa: F401  (before anything of river)

# isort: split
from river import compose

from headrace.schemas.records import Value

Features = Mapping[str, Value]


def score(model: Any, x: Features) -> float:
    """Return the probability that the label is True, or the number that a regressor predicts.

    A classifier that has learned nothing yet scores 0.5.

    Raises
    ------
    ValueError
        When the model answers with no finite number.

    Examples
    --------
    >>> from river import dummy
    >>> model = dummy.PriorClassifier()
    >>> score(model, {})
    0.5
    >>> for label in (1.0, 0.0, 1.0, 1.0):
    ...     learn(model, {}, label)
    >>> score(model, {})
    0.75
    """
    if not is_classifier(model):
        answer = float(model.predict_one(x))
    else:
        classes: Mapping[Any, float] = model.predict_proba_one(x)
        answer = float(classes.get(True, 0.0)) if classes else 0.5
    if not math.isfinite(answer):
        raise ValueError(f"the model answers {answer}")
    return answer


class Ruined(ValueError):
    """Learning has failed half-way, or the model answers with no finite number since."""


def score_and_learn(model: Any, x: Features, label: float) -> float:
    """Score, then learn, and see that the model still answers; functions at the head of a pipeline run once.

    Returns
    -------
    float
        The score, before the label was learned.

    Raises
    ------
    ValueError
        As `score`; nothing is learned then.
    Ruined
        When the model raises while it learns, or answers with no finite number afterwards.
    """
    model, x = _without_functions(model, x)
    predicted = score(model, x)
    try:
        learn(model, x, label)
        score(model, x)
    except (Exception, SystemExit) as error:
        raise Ruined(f"{type(error).__name__} behind it: {error}") from error
    return predicted


def learn(model: Any, x: Features, label: float) -> None:
    """Train on one label: for a classifier True from 0.5 on, for a regressor the number."""
    model.learn_one(x, label >= 0.5 if is_classifier(model) else label)


def _without_functions(model: Any, x: Features) -> tuple[Any, Features]:
    """Return the last step of a pipeline of functions, and its input; for other models both as given."""
    if type(model) is not compose.Pipeline:
        return model, x
    *head, last = model.steps.values()
    if any(type(step) is not compose.FuncTransformer for step in head):
        return model, x
    for step in head:
        x = step.transform_one(x)
    return last, x


def is_classifier(model: Any) -> bool:
    """Tell whether the model, or the last step of the pipeline, predicts classes."""
    while isinstance(steps := getattr(model, "steps", None), dict):
        model = steps[next(reversed(steps))]
    return hasattr(model, "predict_proba_one")
