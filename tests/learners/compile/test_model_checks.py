"""What a model must show before it is registered."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from river import compose, linear_model, preprocessing, tree

from headrace.learners.compile.model_checks import check_deterministic, fresh_model
from headrace.learners.definitions import Learner
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
    check_deterministic("learners.py", learner(logistic), INPUTS)


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


def test_a_model_that_draws_without_a_seed_is_refused() -> None:
    def unseeded() -> Any:
        return tree.HoeffdingAdaptiveTreeClassifier(grace_period=20, seed=random.randrange(10**9))

    with pytest.raises(DefinitionError, match="Pass `seed=`"):
        check_deterministic("learners.py", learner(unseeded), INPUTS)


def test_of_a_model_that_made_up_values_break_nothing_is_known_and_it_passes() -> None:
    def picky() -> Any:
        return compose.FuncTransformer(_refuse) | linear_model.LogisticRegression()

    check_deterministic("learners.py", learner(picky), INPUTS)


def _refuse(x: dict[str, Any]) -> dict[str, Any]:
    raise ValueError("only real values")
