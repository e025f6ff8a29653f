"""State digests do not depend on the process, and see every difference in what was learned."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from river import compose, ensemble, facto, forest, linear_model, naive_bayes, optim, preprocessing, tree

from learners.safe_pickle import dump_model, load_model
from learners.state_digest import state_digest

ROOT = Path(__file__).resolve().parents[2]


def mixed() -> Any:
    numbers = compose.SelectType(float) | preprocessing.StandardScaler()
    names = compose.SelectType(str) | preprocessing.OneHotEncoder()
    return (numbers + names) | linear_model.LogisticRegression(optim.AdaGrad())


MODELS: dict[str, Callable[[], Any]] = {
    "mixed": mixed,
    "passive-aggressive": lambda: compose.SelectType(float) | linear_model.PAClassifier(),
    "bayes": naive_bayes.GaussianNB,
    "tree": lambda: tree.HoeffdingAdaptiveTreeClassifier(seed=1, grace_period=40),
    "forest": lambda: forest.ARFClassifier(n_models=3, seed=1, grace_period=30, max_depth=4),
    "mondrian": lambda: compose.SelectType(float) | forest.AMFClassifier(n_estimators=2, seed=1),
    "bagging": lambda: (
        compose.SelectType(float)
        | ensemble.LeveragingBaggingClassifier(linear_model.LogisticRegression(), n_models=3, seed=1)
    ),
    "factorisation": lambda: facto.FMClassifier(seed=1),
}


def stream(seed: int, count: int) -> Iterator[tuple[dict[str, Any], bool]]:
    source = random.Random(seed)
    for _ in range(count):
        x = {"a": source.random(), "b": source.gauss(0, 1), "s": source.choice("xyz")}
        yield x, source.random() < x["a"]


def train(name: str, model: Any, seed: int, count: int) -> None:
    for x, y in stream(seed, count):
        if name == "bayes":
            x = {key: value for key, value in x.items() if key != "s"}
        model.learn_one(x, y)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_was_saved_and_loaded_goes_on_to_the_same_digest(name: str) -> None:
    model = MODELS[name]()
    train(name, model, 1, 400)
    loaded = load_model(dump_model(model))
    assert state_digest(loaded) == state_digest(model)
    train(name, model, 2, 300)
    train(name, loaded, 2, 300)
    assert state_digest(loaded) == state_digest(model)


@pytest.mark.parametrize("name", MODELS)
def test_more_examples_change_the_digest(name: str) -> None:
    model = MODELS[name]()
    train(name, model, 1, 50)
    before = state_digest(model)
    train(name, model, 3, 20)
    assert state_digest(model) != before


def test_digests_are_equal_in_processes_that_hash_strings_differently() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.learners.test_state_digest"],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert run.stdout.splitlines() == some_digests()


def some_digests() -> list[str]:
    models = {name: MODELS[name]() for name in ("mixed", "forest")}
    for name, model in models.items():
        train(name, model, 1, 300)
    return [state_digest(model) for model in models.values()]


if __name__ == "__main__":
    print("\n".join(some_digests()))
