"""Targets of learners: the domain of each, and the kinds of models that predict it."""

from __future__ import annotations

import math
import random
from numbers import Real
from typing import Any, Final

from headrace.learners.compile.requirements import Requirements
from headrace.learners.definitions import Learner, Target
from headrace.schemas.domains import (
    MOST_CLASS_CHARACTERS,
    MOST_CLASSES,
    TARGET_KINDS,
    DomainSpec,
)
from headrace.schemas.label_reader import Label
from headrace.schemas.records import MOST_LABEL

_KINDS: Final = ", ".join(f"'{kind}'" for kind in TARGET_KINDS)


def target_of(learner: Learner) -> Target:
    """Return the target of a learner: one that is a text is the name of a binary one."""
    target = learner.target
    return target if isinstance(target, Target) else Target(target)


def compile_domain(requirements: Requirements, learner: Learner) -> DomainSpec:
    """Check the target of a learner, and return its domain.

    Raises
    ------
    DefinitionError
        When it is no target, or what it says of its domain does not fit its kind.
    """
    where, target = f"learner '{learner.name}'", target_of(learner)
    require = requirements.require
    problem = f"`target` is {learner.target!r}"
    require(isinstance(target.name, str), where, problem, "Give it a `Target`, or the name of a binary one")
    problem = f"target '{target.name}' is of kind {target.kind!r}"
    require(target.kind in TARGET_KINDS, where, problem, f"Use one of: {_KINDS}")
    if target.kind == "number":
        _check_number(requirements, where, target)
    else:
        given = (target.low, target.high, target.quantile) != (None, None, None)
        problem = f"target '{target.name}' of kind '{target.kind}' has `low`, `high` or `quantile`"
        require(not given, where, problem, "Leave them out, or say kind='number'")
    if target.kind == "category":
        _check_classes(requirements, where, target)
    else:
        problem = f"target '{target.name}' of kind '{target.kind}' has `classes`"
        require(not target.classes, where, problem, "Leave them out, or say kind='category'")
    return DomainSpec(
        kind=target.kind,
        low=None if target.low is None else float(target.low),
        high=None if target.high is None else float(target.high),
        classes=tuple(target.classes),
        quantile=target.quantile,
    )


def _check_number(requirements: Requirements, where: str, target: Target) -> None:
    name, low, high = target.name, target.low, target.high
    remedy = f"Say what there can be: Target('{name}', kind='number', low=-120, high=2000)"
    problem = f"target '{name}' is a number from `low` {low!r} to `high` {high!r}"
    fits = _is_finite(low) and _is_finite(high) and -MOST_LABEL <= low < high <= MOST_LABEL  # type: ignore[operator]
    requirements.require(fits, where, problem, f"{remedy}, finite, `low` below `high`, within 2**53")
    quantile = target.quantile
    fits = quantile is None or (_is_finite(quantile) and 0.0 < quantile < 1.0)
    problem = f"target '{name}' has the `quantile` {quantile!r}"
    requirements.require(fits, where, problem, "Use a number between 0 and 1, such as 0.9")


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _check_classes(requirements: Requirements, where: str, target: Target) -> None:
    name, classes = target.name, target.classes
    require = requirements.require
    remedy = f"List the texts that labels can be: Target('{name}', kind='category', classes=('a', 'b', …))"
    listed = isinstance(classes, list | tuple) and 2 <= len(classes) <= MOST_CLASSES
    problem = f"target '{name}' has `classes` {classes!r:.80}, not 2 to {MOST_CLASSES} texts"
    require(listed, where, problem, remedy)
    for each in classes:
        problem = f"target '{name}' has the class {each!r:.80}"
        is_text = isinstance(each, str) and 0 < len(each) <= MOST_CLASS_CHARACTERS and each[-1] != "\0"
        hint = (
            f"Write classes as texts of 1 to {MOST_CLASS_CHARACTERS} characters; '3' is the class of labels 3"
        )
        require(is_text, where, problem, hint)
        problem = f"target '{name}' has the class {each!r} {classes.count(each)} times"
        require(classes.count(each) == 1, where, problem, "Name each class once")


def check_model_kind(requirements: Requirements, learner: Learner, model: Any, domain: DomainSpec) -> None:
    """Require that a model is of a kind that predicts the learner's target.

    Raises
    ------
    DefinitionError
        When a regressor is to predict a binary target or a category, a classifier a number, or a classifier
        of two classes a category.
    """
    from headrace.learners.models.scoring import is_classifier, last_step

    where, name, last = f"learner '{learner.name}'", target_of(learner).name, last_step(model)
    made = type(last).__name__
    number = f"target=Target('{name}', kind='number', low=…, high=…)"
    if domain.kind == "number":
        problem = f"its model is a classifier, {made}, and its target '{name}' a number"
        remedy = f"Return a regressor, or predict a binary target or a category: Target('{name}')"
        return requirements.require(not is_classifier(model), where, problem, remedy)
    problem = f"its model is a regressor, {made}, and its target '{name}' is {domain.text}"
    remedy = f"Say that the target is a number, {number}, or return a classifier"
    requirements.require(is_classifier(model), where, problem, remedy)
    if domain.kind == "category":
        is_rivers = type(last).__module__.startswith("river.")
        problem = f"its model, {made}, learns two classes, and its target '{name}' is {domain.text}"
        remedy = (
            "Return multiclass.OneVsRestClassifier(…) of it, or a classifier of several classes, such as "
            "linear_model.SoftmaxRegression()"
        )
        several = getattr(last, "_multiclass", True) or not is_rivers
        requirements.require(several, where, problem, remedy)


def made_up_label(source: random.Random, domain: DomainSpec) -> Label:
    """Return a random label of a target.

    >>> made_up_label(random.Random(1), DomainSpec())
    1.0
    """
    if domain.kind == "category":
        return source.choice(domain.classes)
    if domain.low is not None and domain.high is not None:
        return source.uniform(domain.low, domain.high)
    return float(source.random() < 0.3 + 0.4 * source.random())
