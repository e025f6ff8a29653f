"""Whatever is in the topics that the trainer reads, it goes on, and what it has learned answers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from headrace.learners.models.scoring import score
from headrace.learners.routing.epochs import EpochKeeper
from headrace.learners.routing.propensities import propensity_fault
from headrace.learners.training.trainer import Trainer
from headrace.schemas.errors import RecordError
from headrace.schemas.records import Closing, Example
from headrace.schemas.router_specs import PolicySpec
from tests.support.flight_learners import closings, examples, flights
from tests.support.fuzz import NUMBERS, Fuzz

TEXTS = ["", "far", "7", "\ud7ff", "x" * 300, True]
FEW = [(1, 300)]
MANY = [pytest.param(seed, 10_000, marks=pytest.mark.faults) for seed in range(10, 14)]
POLICIES = [PolicySpec(), PolicySpec(posterior="normal"), PolicySpec(kind="epsilon_greedy")]
QUALITY = {"base": 0.55, "static": 0.6, "streaming": 0.8, "crossed": 0.62, "tree": 0.5}


@pytest.mark.parametrize(("seed", "count"), [*FEW, *MANY])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_example_ruins_a_model(tmp_path: Path, seed: int, count: int) -> None:
    fuzz = Fuzz(seed)
    plan, project = flights(tmp_path)
    trainers = [Trainer(plan, project.learner(arm)) for arm in plan.routers[0].arms]
    read = 0
    for offset, good in enumerate(examples(plan, count)):
        raw = json.loads(good.to_bytes())
        for part in ("features", "request"):
            for name in raw["prediction"][part]:
                if fuzz.chance.random() < 0.1:
                    raw["prediction"][part][name] = fuzz.chance.choice([*NUMBERS, None, *TEXTS])
        try:
            example = Example.model_validate_json(fuzz.bytes_of(json.dumps(raw).encode()) or b"")
        except ValidationError:
            continue
        read += 1
        for trainer in trainers:
            trainer.take(offset, example)
    assert read > count / 10
    x = {"distance": 700, "origin": "JFK", "delays__mean": 10.0, "delays__count": 3}
    for trainer in trainers:
        assert trainer.examples + trainer.poisoned + trainer.duplicates == read
        assert trainer.examples > read / 3
        assert math.isfinite(score(trainer.model, x))


@pytest.mark.parametrize(
    "policy", [PolicySpec(), PolicySpec(posterior="normal"), PolicySpec(kind="epsilon_greedy")]
)
@pytest.mark.parametrize("reward", ["brier", "accuracy", "label"])
@pytest.mark.parametrize(("seed", "count"), [*FEW, *MANY])
def test_no_closing_makes_an_epoch_that_is_no_distribution(
    tmp_path: Path, seed: int, count: int, reward: str, policy: PolicySpec
) -> None:
    fuzz = Fuzz(seed)
    plan, _ = flights(tmp_path)
    router = plan.routers[0].model_copy(update={"reward": reward, "policy": policy})
    keeper, epochs, refused, taken = EpochKeeper(router, plan.hash, 1), [], 0, 0
    for offset, good in enumerate(closings(plan, count, QUALITY)):
        try:
            closing = Closing.model_validate_json(fuzz.json_of(good.to_bytes()) or b"")
            epochs += keeper.take(0, offset, closing)
            taken += 1
        except (ValidationError, RecordError):
            refused += 1
            keeper.reach(0, offset + 1)
    assert taken + refused == keeper.offset(0) == count
    assert taken > count / 10
    assert epochs
    assert [propensity_fault(epoch.propensities) for epoch in epochs] == [None] * len(epochs)
