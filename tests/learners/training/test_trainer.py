"""A model is a pure function of the examples up to an offset."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.learners.models.inputs import Inputs
from headrace.learners.models.scoring import learn, score
from headrace.learners.models.store import Artifact, ModelStore
from headrace.learners.models.versions import PublishedVersion
from headrace.learners.project import Project
from headrace.learners.training.trainer import Trainer, replay
from headrace.schemas.marks import Mark
from headrace.schemas.plan import Plan
from headrace.schemas.records import Example
from tests.support.flight_learners import LEARNERS, examples, flights
from tests.support.properties import tries


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Project]:
    return flights(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def stream(compiled: tuple[Plan, Project]) -> list[Example]:
    return list(examples(compiled[0], 400))


def trained(plan: Plan, project: Project, arm: str, stream: list[Example]) -> Trainer:
    trainer = Trainer(plan, project.learner(arm))
    for offset, example in enumerate(stream):
        trainer.take(offset, example)
    return trainer


def published(trainer: Trainer) -> PublishedVersion:
    return trainer.describe(trainer.checkpoint().header)


def saved(store: ModelStore, trainer: Trainer) -> Artifact:
    artifact = trainer.checkpoint()
    content = store.write(artifact)
    return store.resume(artifact.header.name, artifact.header.version, content)


@tries(5)
@given(st.sets(st.integers(1, 399), max_size=4))
def test_restarts_anywhere_change_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    compiled: tuple[Plan, Project],
    stream: list[Example],
    stops: set[int],
) -> None:
    plan, project = compiled
    store = ModelStore(tmp_path_factory.mktemp("store"), b"0123456789abcdef")
    for arm in plan.routers[0].arms:
        whole = published(trained(plan, project, arm, stream))
        trainer = Trainer(plan, project.learner(arm))
        for offset, example in enumerate(stream):
            if offset in stops:
                trainer = Trainer(plan, project.learner(arm), saved(store, trainer))
            trainer.take(offset, example)
        header = published(trainer)
        assert header.digest == whole.digest
        assert (header.offset, header.examples, header.first_ms, header.last_ms) == (
            whole.offset, whole.examples, whole.first_ms, whole.last_ms,
        )  # fmt: skip
        assert header.metrics == whole.metrics


@pytest.mark.parametrize("upto", [0, 1, 250])
def test_replay_of_a_prefix_gives_the_digest_of_its_version(
    compiled: tuple[Plan, Project], stream: list[Example], upto: int
) -> None:
    plan, project = compiled
    for arm in plan.routers[0].arms:
        header = published(trained(plan, project, arm, stream[:upto]))
        assert replay(plan, project.learner(arm), enumerate(stream), upto) == header.digest


def test_models_learn_and_are_validated_before_they_learn(
    compiled: tuple[Plan, Project], stream: list[Example]
) -> None:
    plan, project = compiled
    metrics = published(trained(plan, project, "streaming", stream)).metrics
    assert metrics["count"] == len(stream)
    assert metrics["auc"] > 0.85
    model, inputs = project.learner("streaming").model(), Inputs(plan, plan.learner("streaming"))
    scores = []
    for example in stream:
        x = inputs.of_prediction(example.prediction)
        scores.append(score(model, x))
        learn(model, x, example.label)
    from sklearn.metrics import roc_auc_score

    assert metrics["auc"] == pytest.approx(roc_auc_score([e.label for e in stream], scores), abs=1e-12)


def test_an_example_delivered_twice_is_learned_once_and_a_correction_is_learned(
    compiled: tuple[Plan, Project], stream: list[Example]
) -> None:
    plan, project = compiled
    first, second = stream[:2]
    correction = first.model_copy(update={"example_id": first.example_id + "#1", "label": 1.0 - first.label})
    trainer = trained(plan, project, "base", [first, second, first, correction])
    assert (trainer.examples, trainer.duplicates, trainer.offset) == (3, 1, 4)


def test_a_redelivered_offset_is_passed_over(compiled: tuple[Plan, Project], stream: list[Example]) -> None:
    trainer = trained(*compiled, "base", stream[:3])
    trainer.take(1, stream[1])
    assert (trainer.examples, trainer.duplicates, trainer.offset) == (3, 0, 3)


def test_a_poison_example_is_skipped_and_told(compiled: tuple[Plan, Project], stream: list[Example]) -> None:
    trainer = trained(*compiled, "crossed", stream[:5])
    asked = stream[5].prediction.model_copy(update={"request": {"distance": None, "flight": "f"}})
    raised = trainer.take(5, stream[5].model_copy(update={"prediction": asked}))
    assert raised == "KeyError: 'distance'"
    assert (trainer.poisoned, trainer.examples, trainer.offset) == (1, 5, 6)


def test_a_successor_begins_at_offset_0_and_others_go_on_behind_the_minor_number_given_last(
    compiled: tuple[Plan, Project], stream: list[Example]
) -> None:
    plan, project = compiled
    header = Trainer(plan, project.learner("tree"), major=4, parent="2.7").checkpoint().header
    assert (header.version, header.parent, header.offset) == ("4.0", "2.7", 0)
    artifact = trained(*compiled, "static", stream[:50]).checkpoint()
    same = Trainer(plan, project.learner("static"), artifact)
    assert (same.major, same.offset, same.checkpoint().header.version) == (1, 50, "1.1")
    assert Trainer(plan, project.learner("static"), artifact, minor=6).checkpoint().header.version == "1.7"


def test_marks_tell_when_to_publish(compiled: tuple[Plan, Project]) -> None:
    trainer = trained(*compiled, "base", [])
    marks = [10, 59, 60, 61, 119, 125, 90, 200]
    assert [trainer.mark(n, Mark(t), 60) for n, t in enumerate(marks)] == [
        True, False, True, False, False, True, False, True,
    ]  # fmt: skip
    assert trainer.offset == len(marks)


@tries(10)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 300)), max_size=20),
    st.sets(st.integers(0, 19), max_size=3),
)
def test_marks_of_partitions_publish_alike_whenever_a_trainer_was_started_again(
    compiled: tuple[Plan, Project], marks: list[tuple[int, int]], stops: set[int]
) -> None:
    plan, project = compiled
    through, stopped = trained(plan, project, "base", []), trained(plan, project, "base", [])
    for offset, (partition, time_ms) in enumerate(marks):
        if offset in stops:
            stopped = Trainer(plan, project.learner("base"), stopped.checkpoint())
        mark = Mark(time_ms, partition, 3)
        assert stopped.mark(offset, mark, 60) == through.mark(offset, mark, 60)
        assert stopped.mark_ms == through.mark_ms


GATED = (
    LEARNERS.replace('request=["distance", "origin"]', 'request=["gate"]')
    .replace('None, "late", request=["distance"]', 'None, "late", request=["gate"]')
    .replace('request=["distance", "flight"]', 'request=["distance", "flight", "gate"]')
)


def at_gate(example: Example, gate: str | int) -> Example:
    prediction = example.prediction
    sent = prediction.model_copy(update={"request": {**prediction.request, "gate": gate}})
    return example.model_copy(update={"prediction": sent})


def test_a_request_field_that_nothing_declares_is_of_the_kind_that_was_learned_first(
    tmp_path: Path, stream: list[Example], caplog: pytest.LogCaptureFixture
) -> None:
    """A tree that has learned numbers of a field and is given a text may raise for good."""
    plan, project = flights(tmp_path, text=GATED)
    store = ModelStore(tmp_path / "store", b"0123456789abcdef")
    numbers = [at_gate(example, n % 7) for n, example in enumerate(stream)]
    mixed = [at_gate(example, "B12" if n % 5 == 4 else n % 7) for n, example in enumerate(stream)]
    trainer = Trainer(plan, project.learner("tree"))
    for offset, example in enumerate(mixed):
        if offset == 200:
            trainer = Trainer(plan, project.learner("tree"), saved(store, trainer))
        trainer.take(offset, example)
    assert (trainer.examples, trainer.poisoned) == (400, 0)
    assert trainer.checkpoint().kinds == {"gate": "number"}
    assert caplog.text.count("request field 'gate' was a number when it was learned first") == 2  # and again
    digest = published(trainer).digest
    assert replay(plan, project.learner("tree"), enumerate(mixed), len(mixed)) == digest
    assert trained(plan, project, "tree", numbers).checkpoint().kinds == {"gate": "number"}


def test_what_a_model_did_not_learn_binds_nothing(tmp_path: Path, stream: list[Example]) -> None:
    """A scaler raises on a text: the example is poisoned, and numbers are learned as before."""
    plan, project = flights(tmp_path, text=GATED)
    trainer = Trainer(plan, project.learner("static"))
    for offset, gate in enumerate(("B12", 1, 2)):
        trainer.take(offset, at_gate(stream[offset], gate))
    assert (trainer.poisoned, trainer.examples) == (1, 2)
    assert trainer.checkpoint().kinds == {"gate": "number"}
