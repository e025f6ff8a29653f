"""The definition hash changes with what a model is, and with nothing else."""

from __future__ import annotations

import functools

from river import compose, linear_model, optim, preprocessing, tree

from headrace.learners.models.definition_hash import definition_hash


def doubled(x: dict[str, float]) -> dict[str, float]:
    return {name: 2 * value for name, value in x.items()}


def halved(x: dict[str, float]) -> dict[str, float]:
    return {name: value / 2 for name, value in x.items()}


def hash_of(model: object, *inputs: str) -> str:
    return definition_hash(model, inputs)


def logistic(l2: float = 0.0, rate: float = 0.01) -> object:
    return preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.SGD(rate), l2=l2)


def test_equal_definitions_have_equal_hashes() -> None:
    assert hash_of(logistic()) == hash_of(logistic())
    assert hash_of(tree.HoeffdingAdaptiveTreeClassifier(seed=1)) == hash_of(
        tree.HoeffdingAdaptiveTreeClassifier(seed=1)
    )


def test_parameters_deep_inside_count() -> None:
    hashes = {hash_of(logistic()), hash_of(logistic(l2=0.1)), hash_of(logistic(rate=0.02))}
    assert len(hashes) == 3


def test_the_source_of_functions_counts() -> None:
    pipelines = [compose.FuncTransformer(f) | linear_model.LogisticRegression() for f in (doubled, halved)]
    assert hash_of(pipelines[0]) != hash_of(pipelines[1])
    assert hash_of(functools.partial(doubled, 1)) != hash_of(functools.partial(doubled, 2))


def test_the_features_count_and_their_order_does_not() -> None:
    assert hash_of(logistic(), "a", "b") == hash_of(logistic(), "b", "a")
    assert hash_of(logistic(), "a", "b") != hash_of(logistic(), "a")
