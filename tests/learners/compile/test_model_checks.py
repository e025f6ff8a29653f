"""What a model must show before it is registered."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from river import (
    compose,
    dummy,
    ensemble,
    feature_extraction,
    forest,
    linear_model,
    multiclass,
    naive_bayes,
    preprocessing,
    tree,
)

from headrace.learners.compile import learning_checks
from headrace.learners.compile.learning_checks import check_learning
from headrace.learners.compile.model_checks import fresh_model
from headrace.learners.definitions import Learner
from headrace.schemas.domains import BINARY, DomainSpec
from headrace.schemas.errors import DefinitionError

INPUTS: dict[str, Any] = {"amount": "Float64", "count": "Int64", "vip": "Bool", "country": "String"}


def learner(model: Callable[[], Any]) -> Learner:
    return Learner("one", model, None, "y")


def logistic() -> Any:
    numbers = compose.SelectType(float, int, bool) | preprocessing.StandardScaler()
    return (numbers + preprocessing.OneHotEncoder()) | linear_model.LogisticRegression()


def test_a_river_model_passes_and_is_new_every_time() -> None:
    first, second = (fresh_model("learners.py", learner(logistic)) for _ in range(2))
    assert first is not second


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (lambda: 1 / 0, "its model factory raised ZeroDivisionError"),
        (lambda: "no model", "returned 'no model', which cannot learn and predict"),
        (lambda: linear_model.LogisticRegression, "which cannot learn and predict"),
        (preprocessing.StandardScaler, "which cannot learn and predict"),
        (
            lambda: compose.FuncTransformer(lambda x: x) | linear_model.LogisticRegression(),
            "its model cannot be saved",
        ),
    ],
)
def test_what_cannot_be_trained_and_saved_is_refused(model: Callable[[], Any], problem: str) -> None:
    with pytest.raises(DefinitionError, match=r"learners\.py: learner 'one'") as refusal:
        fresh_model("learners.py", learner(model))
    assert problem in refusal.value.problem


def lines() -> Any:
    return preprocessing.StandardScaler() | linear_model.LinearRegression()


def logarithms(x: dict[str, Any]) -> dict[str, Any]:
    return {name: math.log(value) for name, value in x.items() if not isinstance(value, str)}


def refuse(x: dict[str, Any]) -> dict[str, Any]:
    raise ValueError("only real values")


def leave(x: dict[str, Any]) -> dict[str, Any]:
    raise SystemExit(3)


class Silent(dummy.PriorClassifier):  # type: ignore[misc]
    """Takes every example, and learns nothing of it."""

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (lambda: compose.FuncTransformer(refuse) | linear_model.LogisticRegression(),
         "it raised on all of 200 made-up examples, last ValueError: only real values"),
        (lambda: compose.FuncTransformer(leave) | linear_model.LogisticRegression(),
         "it raised on all of 200 made-up examples, last SystemExit: 3"),
        (lambda: ensemble.VotingClassifier([naive_bayes.GaussianNB(), logistic()]),
         "it raised on all of 200 made-up examples, last NotImplementedError"),
        (lambda: multiclass.OutputCodeClassifier(logistic(), code_size=4, seed=1),
         "it raised on all of 200 made-up examples, last NotImplementedError"),
        (lambda: tree.HoeffdingAdaptiveTreeClassifier(grace_period=20, seed=random.randrange(10**9)),
         "two models of it that learned the same examples differ"),
        (lambda: compose.FuncTransformer(logarithms) | forest.ARFClassifier(n_models=3),
         "two models of it that learned the same examples differ"),
        (lambda: feature_extraction.BagOfWords(on="country") | naive_bayes.MultinomialNB(),
         "the model holds 'operator.itemgetter', which may not be loaded"),
        (lambda: Silent(), "it does not learn: it is the same model"),
    ],
)  # fmt: skip
def test_what_cannot_learn_or_be_stored_is_refused(model: Callable[[], Any], problem: str) -> None:
    with pytest.raises(DefinitionError, match=r"learners\.py: learner 'one'") as refusal:
        check_learning("learners.py", learner(model), INPUTS)
    assert problem in refusal.value.problem


@pytest.mark.parametrize(
    ("model", "domain"),
    [
        (logistic, BINARY),
        (lambda: forest.ARFClassifier(n_models=3, seed=1), BINARY),
        (dummy.PriorClassifier, BINARY),
        (lambda: compose.SelectType(int, float) | lines(), DomainSpec(kind="number", low=-10, high=10)),
        (lambda: tree.HoeffdingAdaptiveTreeRegressor(seed=1, grace_period=20),
         DomainSpec(kind="number", low=-10, high=10)),
        (lambda: tree.HoeffdingTreeClassifier(grace_period=20),
         DomainSpec(kind="category", classes=("a", "b", "c"))),
    ],
)  # fmt: skip
def test_models_that_learn_whatever_comes_pass(model: Callable[[], Any], domain: DomainSpec) -> None:
    check_learning("learners.py", learner(model), INPUTS, domain)


def test_a_model_that_is_never_done_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning_checks, "_MOST_S", 0.0)
    with pytest.raises(DefinitionError, match="it has learned 0 made-up examples in 0 s"):
        check_learning("learners.py", learner(logistic), INPUTS)
