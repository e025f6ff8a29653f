"""Asking and teaching at once equals doing one after the other, whatever the model is made of."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from river import compose, dummy, linear_model, preprocessing, tree

from headrace.learners.models.scoring import learn, score, score_and_learn
from headrace.learners.models.state_digest import state_digest


def doubled(x: dict[str, float]) -> dict[str, float]:
    return {name: 2 * value for name, value in x.items()}


def shifted(x: dict[str, float]) -> dict[str, float]:
    return {name: value + 1 for name, value in x.items()}


MODELS: dict[str, Callable[[], Any]] = {
    "bare": linear_model.LogisticRegression,
    "regressor": linear_model.LinearRegression,
    "one function": lambda: compose.Pipeline(doubled, linear_model.LogisticRegression()),
    "two functions": lambda: compose.Pipeline(doubled, shifted, tree.HoeffdingTreeClassifier(20)),
    "a scaler, which has state": lambda: compose.Pipeline(
        doubled, preprocessing.StandardScaler(), linear_model.LogisticRegression()
    ),
    "a union": lambda: compose.Pipeline(
        compose.FuncTransformer(doubled) + compose.FuncTransformer(shifted), linear_model.LinearRegression()
    ),
}


@pytest.mark.parametrize("kind", MODELS)
def test_at_once_is_one_after_the_other(kind: str) -> None:
    chance, once, twice = random.Random(5), MODELS[kind](), MODELS[kind]()
    for _ in range(200):
        x = {name: chance.gauss(0, 1) for name in "abc"}
        label = float(x["a"] + chance.gauss(0, 1) > 0)
        expected = score(twice, x)
        learn(twice, x, label)
        assert score_and_learn(once, x, label) == expected
    state = [state_digest(list(getattr(model, "steps", {0: model}).values())) for model in (once, twice)]
    assert state[0] == state[1]


def test_what_cannot_be_scored_is_not_learned() -> None:
    model = compose.Pipeline(doubled, linear_model.LogisticRegression())
    with pytest.raises(ValueError, match="nan"):
        score_and_learn(model, {"a": float("nan")}, 1.0)
    assert not model["LogisticRegression"].weights


def test_scores_are_probabilities_and_a_model_that_knows_nothing_says_half() -> None:
    assert score(dummy.PriorClassifier(), {}) == 0.5
    prior = dummy.PriorClassifier()
    learn(prior, {}, 0.0)
    assert score(prior, {}) == 0.0
    regressor = linear_model.LinearRegression()
    learn(regressor, {"a": 1.0}, 3.0)
    assert score(regressor, {"a": 1.0}) > 0.0
    with pytest.raises(ValueError, match="nan"):
        score(linear_model.LogisticRegression(), {"a": float("nan")})
