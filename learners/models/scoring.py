"""Scoring and training of one river model, the same in the trainer and in the router."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import headrace.learners.models.fast_import  # noqa: F401  (before anything of river)

# isort: split
from river import compose

from headrace.schemas.domains import BINARY, Distribution, DomainSpec, Score
from headrace.schemas.label_reader import Label
from headrace.schemas.records import Value

Features = Mapping[str, Value]


def score(model: Any, x: Features, domain: DomainSpec = BINARY) -> Score:
    """Return the answer of a model for a target.

    Of a binary target the probability that the label is True; 0.5 where a classifier has learned nothing yet.
    Of a number what a regressor answers, kept within the range. Of a category the distribution over its
    classes, in their order; what a classifier gives other classes is spread over these, and where it gives
    nothing, all have the same share.

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
    >>> score(dummy.PriorClassifier(), {}, DomainSpec(kind="category", classes=("carrier", "weather")))
    {'carrier': 0.5, 'weather': 0.5}
    """
    if domain.kind == "category":
        return _distribution(model.predict_proba_one(x), domain)
    if domain.kind == "number" and is_classifier(model):
        raise ValueError("the model is a classifier, and the target a number")
    if not is_classifier(model):
        answer = float(model.predict_one(x))
    else:
        classes: Mapping[Any, float] = model.predict_proba_one(x)
        answer = float(classes.get(True, 0.0)) if classes else 0.5
    if not math.isfinite(answer):
        raise ValueError(f"the model answers {answer}")
    if domain.low is not None and domain.high is not None:
        return min(domain.high, max(domain.low, answer))
    return answer


def _distribution(answer: Mapping[Any, float], domain: DomainSpec) -> Distribution:
    shares = {name: float(answer.get(name, 0.0)) for name in domain.classes}
    total = math.fsum(shares.values())
    if not math.isfinite(total) or min(shares.values()) < 0.0:
        raise ValueError(f"the model answers {shares!r:.200}")
    if total == 0.0:
        return dict.fromkeys(shares, 1.0 / len(shares))
    return {name: share / total for name, share in shares.items()}


class Ruined(ValueError):
    """Learning has failed half-way, or the model answers with no finite number since."""


def score_and_learn(model: Any, x: Features, label: Label, domain: DomainSpec = BINARY) -> Score:
    """Score, then learn, and see that the model still answers; functions at the head of a pipeline run once.

    Returns
    -------
    float or dict
        The score, before the label was learned.

    Raises
    ------
    ValueError
        As `score`; nothing is learned then.
    Ruined
        When the model raises while it learns, or answers with no finite number afterwards.
    """
    model, x = _without_functions(model, x)
    predicted = score(model, x, domain)
    try:
        learn(model, x, label)
        score(model, x, domain)
    except (Exception, SystemExit) as error:
        raise Ruined(f"{type(error).__name__} behind it: {error}") from error
    return predicted


def learn(model: Any, x: Features, label: Label) -> None:
    """Train on one label: a text as it is; for a classifier True from 0.5 on, for a regressor the number."""
    is_truth = not isinstance(label, str) and is_classifier(model)
    model.learn_one(x, label >= 0.5 if is_truth else label)  # type: ignore[operator]


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
    return hasattr(last_step(model), "predict_proba_one")


def last_step(model: Any) -> Any:
    """Return the last step of a pipeline, of pipelines in pipelines the innermost; any other model itself."""
    while isinstance(steps := getattr(model, "steps", None), dict):
        model = steps[next(reversed(steps))]
    return model
