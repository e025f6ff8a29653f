"""A trainer learns labels of its target's kind; others in the log are counted, and change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headrace.learners.models.state_digest import state_digest
from headrace.learners.training.trainer import Trainer, describe
from headrace.schemas.records import Example
from tests.support.join_builders import a_prediction
from tests.support.typed_flights import text_of, typed_flights


def example(number: int, label: Any) -> Example:
    request = {"distance": 10 * number, "flight": f"f{number}"}
    asked = a_prediction(f"p{number}", f"f{number}", number, entities={}, request=request)
    return Example(example_id=f"p{number}", prediction=asked, label=label, label_ts_ms=number)


@pytest.mark.parametrize(
    ("kind", "labels", "wrong", "metric"),
    [
        ("binary", [0.0, 1.0, 1.0], ["late"], "pr_auc"),
        ("number", [-120.0, 15.5, 2000.0], [2000.5, "many"], "mae"),
        ("category", ["carrier", "weather", "carrier"], ["wether", 1.0], "macro_f1"),
    ],
)
def test_labels_of_the_target_are_learned_and_others_counted(
    tmp_path: Path, kind: str, labels: list[Any], wrong: list[Any], metric: str
) -> None:
    plan, project = typed_flights(tmp_path, text_of(kind))
    trainer, clean = (Trainer(plan, project.learner("live")) for _ in range(2))
    for offset, label in enumerate([*labels, *wrong]):
        why = trainer.take(offset, example(offset, label))
        assert (why is None) == (offset < len(labels))
        if why is None:
            clean.take(offset, example(offset, label))
    assert (trainer.examples, trainer.poisoned) == (len(labels), len(wrong))
    assert state_digest(trainer.model) == state_digest(clean.model)
    version = describe(trainer.checkpoint(), "")
    assert version.metrics["count"] == len(labels)
    assert version.metrics[metric] is not None


def test_binary_labels_of_before_there_were_kinds_are_learned_as_then(tmp_path: Path) -> None:
    plan, project = typed_flights(tmp_path, text_of("binary"))
    before, now = (Trainer(plan, project.learner("live")) for _ in range(2))
    for offset, label in enumerate((0.2, 3.0, -1.0, 0.5)):
        assert before.take(offset, example(offset, label)) is None
        assert now.take(offset, example(offset, float(label >= 0.5))) is None
    assert state_digest(before.model) == state_digest(now.model)


@pytest.mark.parametrize("kind", ["binary", "number", "category"])
def test_a_trainer_goes_on_from_its_artifact_as_if_it_had_not_stopped(tmp_path: Path, kind: str) -> None:
    plan, project = typed_flights(tmp_path, text_of(kind))
    labels = {"binary": [0.0, 1.0], "number": [3.0, 40.0], "category": ["carrier", "weather"]}[kind]
    whole = Trainer(plan, project.learner("live"))
    resumed = whole
    for offset in range(20):
        if offset == 9:
            artifact = whole.checkpoint()
            resumed = Trainer(plan, project.learner("live"), artifact)
            whole = Trainer(plan, project.learner("live"))
            for earlier in range(offset):
                whole.take(earlier, example(earlier, labels[earlier % 2]))
        for trainer in {whole, resumed}:
            trainer.take(offset, example(offset, labels[offset % 2]))
    found, expected = (describe(one.checkpoint(), "").metrics for one in (resumed, whole))
    assert found == expected
