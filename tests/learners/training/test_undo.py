"""Learning is undone where it would ruin a model."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from river import compose, linear_model, naive_bayes, optim, preprocessing, tree

from headrace.learners.models.inputs import GREATEST
from headrace.learners.models.scoring import Ruined, learn, score, score_and_learn
from headrace.learners.models.state_digest import state_digest
from headrace.learners.training.undo import UndoableModel


def scaled() -> Any:
    return preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.SGD(0.1))


def regression() -> Any:
    return linear_model.LinearRegression(optim.SGD(0.1), clip_gradient=1e300)


MODELS: list[Callable[[], Any]] = [
    scaled,
    regression,
    naive_bayes.GaussianNB,
    lambda: compose.Pipeline(preprocessing.MinMaxScaler(), tree.HoeffdingTreeClassifier(grace_period=20)),
]


def examples(seed: int, count: int) -> Iterator[tuple[dict[str, float], float]]:
    chance = random.Random(seed)
    for n in range(count):
        x = {"a": chance.gauss(0, 1), "b": chance.random()}
        if n % 50 == 40:
            x["a"] = chance.choice([GREATEST, -GREATEST, 1e30])
        yield x, float(x["b"] > 0.5)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_model_is_what_it_is_without_the_examples_that_would_ruin_it(model: Callable[[], Any]) -> None:
    undoable, kept = UndoableModel(model()), []
    for x, label in examples(3, 300):
        try:
            undoable.learn(x, label)
        except (ValueError, ArithmeticError):
            continue
        kept.append((x, label))
        assert math.isfinite(score(undoable.model, x))
    assert len(kept) >= 290
    clean = model()
    for x, label in kept:
        score(clean, x)
        learn(clean, x, label)
    assert state_digest(undoable.model) == state_digest(clean)


class ExitsHalfWay(linear_model.LogisticRegression):  # type: ignore[misc]
    def learn_one(self, x: dict[str, float], y: bool) -> None:
        super().learn_one(x, y)
        if x["a"] == 3.0:
            raise SystemExit(3)


def test_a_model_that_ends_the_process_half_way_is_what_it_was_before() -> None:
    undoable, clean = UndoableModel(ExitsHalfWay()), ExitsHalfWay()
    undoable.learn({"a": 1.0}, 1.0)
    score_and_learn(clean, {"a": 1.0}, 1.0)
    with pytest.raises(Ruined, match="SystemExit"):
        undoable.learn({"a": 3.0}, 0.0)
    assert state_digest(undoable.model) == state_digest(clean)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_model_that_a_number_would_ruin_says_so_and_goes_on() -> None:
    undoable = UndoableModel(scaled())
    undoable.learn({"a": 1.0}, 1.0)
    undoable.learn({"a": 3.0}, 0.0)
    with pytest.raises(Ruined, match="the model answers nan"):
        undoable.learn({"a": math.inf}, 1.0)
    assert 0.0 < undoable.learn({"a": 1.0}, 1.0) < 1.0


def test_a_model_that_raises_halfway_has_learned_nothing() -> None:
    undoable = UndoableModel(preprocessing.StandardScaler() | linear_model.LogisticRegression())
    undoable.learn({"a": 1.0, "b": 2.0}, 1.0)
    before = state_digest(undoable.model)
    with pytest.raises((ValueError, TypeError)):
        undoable.learn({"a": 5.0, "b": "text"}, 1.0)
    assert state_digest(undoable.model) == before
