"""Models to take digests of; prints some: `python -m tests.support.digest_process`."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from river import compose, ensemble, facto, forest, linear_model, naive_bayes, optim, preprocessing, tree

from headrace.learners.models.state_digest import state_digest


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


def some_digests() -> list[str]:
    models = {name: MODELS[name]() for name in ("mixed", "forest")}
    for name, model in models.items():
        train(name, model, 1, 300)
    return [state_digest(model) for model in models.values()]


if __name__ == "__main__":
    print("\n".join(some_digests()))
