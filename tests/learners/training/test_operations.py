"""What operators decide: folded once, through crashes, and refused where it can have no effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.learners.models.operations import submit
from headrace.learners.training.trainer import Trainer
from tests.support.flight_learners import examples
from tests.support.operated_scene import ARM, OperatedScene
from tests.support.train_process import KEY
from tests.support.train_scene import running


@pytest.fixture
def scene(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> OperatedScene:
    return OperatedScene(kafka_bootstrap, redis_url, project, tmp_path)


def test_a_pinned_version_serves_on_while_training_goes_on_until_it_is_unpinned(scene: OperatedScene) -> None:
    scene.feed(3)
    with running(scene.process(0)):
        scene.await_serving("1.3")
        pinned = scene.await_outcome(scene.order("rollback", "1.1"))
        assert pinned.outcome is not None
        assert (pinned.outcome.refused, pinned.outcome.version, pinned.outcome.offset) == (None, "1.1", 6)
        scene.await_serving("1.1")
        scene.await_trained(scene.feed(4, 3))
    with running(scene.process(0)):  # a successor has the same
        scene.await_trained(scene.feed(5, 4))
        assert scene.serving() == "1.1"
        assert scene.newest(ARM).header.version == "1.5"
        again = scene.await_outcome(scene.order("pin", "1.1"))
        assert again.outcome is not None
        assert again.outcome.refused is None
        scene.await_outcome(scene.order("unpin"))
        scene.await_serving("1.5")


def test_what_can_have_no_effect_is_refused_and_says_why(scene: OperatedScene) -> None:
    scene.feed(1)
    with running(scene.process(0)):
        scene.await_serving("1.1")
        unknown = scene.await_outcome(scene.order("pin", "1.7"))
        assert unknown.outcome is not None
        assert "no artifact of tree@1.7 is kept" in str(unknown.outcome.refused)
        scene.order("pin", "1.0", key=b"the key of another project")
        scene.await_outcome(scene.order("unpin"))
        assert scene.serving() == "1.1"
        assert not any(one.outcome for one in scene.deeds() if one.operation.version == "1.0")
    letters = scene.read(scene.plan.topics.dead_letters)
    assert b"is not signed with the key of project" in letters[0]


def test_an_operation_before_a_crash_is_folded_by_the_successor_once(scene: OperatedScene) -> None:
    end = scene.feed(2)
    with running(scene.process(0)):
        scene.await_trained(end)
    operation = scene.order("pin", "1.1")  # nobody is there
    submit(scene.bootstrap, scene.plan.project, operation, KEY)  # and it comes twice
    for _ in range(2):
        with running(scene.process(0)):
            scene.await_outcome(operation)
            scene.await_serving("1.1")
    assert scene.state().models[ARM].steering.known == (operation.id,)


def test_reset_trains_anew_and_comes_to_the_same_model(scene: OperatedScene) -> None:
    end = scene.feed(3)
    with running(scene.process(0)):
        scene.await_serving("1.3")
        digest = scene.digests()[ARM]
        scene.await_outcome(scene.order("reset"))
        scene.await_serving("2.3")
        assert scene.digests()[ARM] == digest
        assert scene.lineage(ARM)[4].parent == "1.3"
        scene.await_outcome(scene.order("reset", "1.1"))
        scene.await_serving("3.2")
        assert scene.digests()[ARM] == digest
        scene.await_outcome(scene.order("reset", "1.1", skip_to=end))
        scene.await_serving("4.0")
        scene.await_trained(scene.feed(4, 3))
        scene.await_serving("4.1")
    learned = Trainer(scene.plan, scene.project.learner(ARM))
    stream = [*examples(scene.plan, 4)]
    for offset, example in ((0, stream[0]), (6, stream[3])):
        learned.take(offset, example)
    assert learned.describe(scene.newest(ARM).header).digest == scene.digests()[ARM]
