"""The arms can answer whatever is missing, and are quick enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.flights.data import Dataset
from examples.flights.events import rows
from headrace.featurestore.compile.features import compile_features
from headrace.learners.compile.plan import compile_learners
from headrace.learners.definitions import Learner
from headrace.learners.models.scoring import learn, score
from headrace.learners.models.state_digest import state_digest
from headrace.learners.project import load_project

ARMS = ("base_rate", "static_regression", "streaming_regression", "hoeffding_tree", "binned_regression")


@pytest.fixture(scope="module")
def learners(repository: Path) -> dict[str, Learner]:
    return {learner.name: learner for learner in load_project(repository).learners}


def test_the_repository_compiles(repository: Path) -> None:
    specs, routers = compile_learners(load_project(repository), compile_features(repository))
    assert tuple(spec.name for spec in specs) == routers[0].arms == ARMS


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_answers_when_nothing_was_served(
    learners: dict[str, Learner], dataset: Dataset, name: str
) -> None:
    model = learners[name].model()
    for flight in rows(dataset["requests"].head(50)):
        x = {key: flight[key] for key in sorted(learners[name].request)}
        assert 0 <= score(model, x) <= 1
        learn(model, x, 1.0)


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_learns_the_same_from_the_same(
    learners: dict[str, Learner], dataset: Dataset, name: str
) -> None:
    digests = set()
    for _ in range(2):
        model = learners[name].model()
        for number, flight in enumerate(rows(dataset["requests"].head(400))):
            x = {key: flight[key] for key in sorted(learners[name].request)}
            learn(model, x, float(number % 3 == 0))
        digests.add(state_digest(model))
    assert len(digests) == 1
