"""The models and the epoch that serve follow the pointers in Redis."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from headrace.learners.models.pointers import ModelPointer, ModelPointers, epochs_key, models_key
from headrace.learners.models.state_digest import state_digest
from headrace.learners.models.store import ModelStore
from headrace.learners.serving import live_models
from headrace.learners.serving.live import LiveArm
from headrace.learners.serving.live_models import LiveModels
from headrace.learners.training.trainer import Trainer
from headrace.schemas.plan import Plan
from headrace.streams.progress import ProgressStore
from tests.support.flight_learners import LEARNERS, examples, flights
from tests.support.service_scene import Scene
from tests.support.train_process import KEY
from tests.support.waiting import eventually

NOWHERE = "127.0.0.1:1"  # nothing here asks Kafka


@dataclass
class Following:
    """What follows one router, and the arms whose versions it could not load."""

    models: LiveModels
    failures: list[str] = field(default_factory=list)

    def arm(self, name: str) -> LiveArm:
        return next(arm for arm in self.models.live.arms if arm.name == name)

    def refreshed(self, name: str) -> LiveArm:
        self.models.refresh()
        return self.arm(name)


@pytest.fixture
def scene(redis_url: str, project: str, tmp_path: Path) -> Scene:
    return Scene(NOWHERE, redis_url, project, tmp_path)


@pytest.fixture
def follow(scene: Scene) -> Callable[..., Following]:
    def begin(plan: Plan | None = None) -> Following:
        failures: list[str] = []
        plan = plan or scene.plan
        models = LiveModels(
            plan, plan.routers[0], scene.project, scene.store, scene.redis, "r1", failures.append
        )
        return Following(models, failures)

    return begin


def replicas(scene: Scene) -> dict[tuple[str, int], int]:
    """(topic, partition) to the prefix that the replica serves by."""
    progress = ProgressStore(scene.redis, scene.plan).read()
    return {
        (topic, partition): seen.next_offset
        for (stage, topic, partition, member), seen in progress.items()
        if (stage, member) == ("serve", "r1")
    }


def test_untrained_models_and_the_first_epoch_serve_before_anything_is_published(
    follow: Callable[..., Following], scene: Scene
) -> None:
    following = follow()
    following.models.refresh()
    assert [arm.name for arm in following.models.live.arms] == list(scene.plan.routers[0].arms)
    arms = following.models.live.arms
    assert {(arm.version, arm.offset, arm.is_untrained) for arm in arms} == {("untrained", 0, True)}
    assert following.models.is_loaded  # nobody has published anything: there is nothing to wait for
    epoch = following.models.live.epoch
    assert (epoch.epoch, set(epoch.propensities.values())) == (0, {0.2})


def test_a_published_version_serves_with_the_state_it_was_published_with(
    follow: Callable[..., Following], scene: Scene
) -> None:
    following = follow()
    trainers = scene.train(40)
    following.models.refresh()
    assert {(arm.version, arm.offset) for arm in following.models.live.arms} == {("1.0", 40)}
    for name, trainer in trainers.items():
        assert state_digest(following.arm(name).model) == state_digest(trainer.model)


def test_a_version_serves_with_the_kinds_that_its_model_has_learned(
    follow: Callable[..., Following], scene: Scene
) -> None:
    following = follow()
    artifact = replace(scene.train(10)["tree"].checkpoint(), kinds={"gate": "number"})
    version, content = artifact.header.version, scene.store.write(artifact)
    scene.pointers.point(scene.examples, {"tree": ModelPointer(version, 10, content)})
    assert following.refreshed("tree").version == version
    assert following.arm("tree").inputs.kinds == {"gate": "number"}


def test_a_prefix_without_anything_to_learn_moves_on_with_the_same_model(
    follow: Callable[..., Following], scene: Scene
) -> None:
    following = follow()
    scene.train(10)
    before = following.refreshed("tree")
    scene.pointers.point(scene.examples, {"tree": scene.moved("tree", 75)})
    after = following.refreshed("tree")
    assert after.model is before.model
    assert (before.offset, after.offset) == (10, 75)


def another(scene: Scene, tmp_path: Path, text: str) -> Following:
    """What follows by the plan of a changed project."""
    plan, project = flights(tmp_path, scene.plan.project, text)
    failures: list[str] = []
    models = LiveModels(plan, plan.routers[0], project, scene.store, scene.redis, "r2", failures.append)
    return Following(models, failures)


def test_a_version_of_another_definition_serves_with_what_it_reads_under_both_plans(
    follow: Callable[..., Following], scene: Scene, tmp_path: Path
) -> None:
    changed = LEARNERS.replace("grace_period=50", "grace_period=60").replace(
        'Learner("crossed", crossed, "delays", "late", request=["distance"])',
        'Learner("crossed", logistic, None, "late")',
    )
    scene.train(10)
    before, after = follow(), another(scene, tmp_path, changed)
    for following in (before, after):
        following.models.refresh()
        assert {(arm.version, arm.offset) for arm in following.models.live.arms} == {("1.0", 10)}
        assert (following.models.faults, following.failures) == ([], [])
    read = [arm.inputs.declared for arm in before.models.live.arms]
    assert [arm.inputs.declared for arm in after.models.live.arms] == read


def test_what_a_model_of_another_definition_reads_besides_is_read_for_it(
    follow: Callable[..., Following], scene: Scene, tmp_path: Path
) -> None:
    without = LEARNERS.replace('"delays", "late"', 'None, "late"')
    scene.train(10)
    following = another(scene, tmp_path, without)
    following.models.refresh()
    live = following.models.live
    assert [ref.full_name for ref in live.others] == ["delays__count", "delays__mean"]
    assert following.models.is_loaded


def test_a_model_that_this_plan_cannot_serve_leaves_the_arm_on_what_it_has(
    follow: Callable[..., Following], scene: Scene, tmp_path: Path
) -> None:
    following = follow()
    scene.train(10)
    before = following.refreshed("tree")
    text = LEARNERS.replace('request=["distance", "origin"]', 'request=["distance", "gate"]').replace(
        'request=["distance", "flight"]', 'request=["distance", "flight", "gate"]'
    )
    plan, project = flights(tmp_path, scene.plan.project, text)
    successor = Trainer(plan, project.learner("tree"), major=2)
    for offset, example in enumerate(examples(plan, 30)):
        successor.take(offset, example)
    content = scene.store.write(successor.checkpoint())
    scene.pointers.point(scene.examples, {"tree": ModelPointer("2.0", 30, content, 2)})
    assert following.refreshed("tree") is before
    assert (following.models.is_loaded, following.failures) == (True, [])
    assert following.models.faults == [
        f"arm 'tree': model tree@2.0 reads 'gate', which plan {scene.plan.hash[:12]} does not have; "
        "processes of its plan serve it until `train` has one of this plan that knows as much"
    ]
    fresh = follow()
    assert (fresh.refreshed("tree").version, fresh.models.is_loaded) == ("untrained", False)


def test_a_model_does_not_serve_with_another_function_than_it_has_learned_with(
    scene: Scene, tmp_path: Path
) -> None:
    scene.train(10)
    following = another(scene, tmp_path, LEARNERS.replace('"ratio": x.get', '"ratio": 2 * x.get'))
    assert following.refreshed("crossed").version == "untrained"
    assert not following.models.is_loaded
    (fault,) = following.models.faults
    assert (
        "arm 'crossed': model crossed@1.0 has learned with another 'with_ratio' than learners.py has" in fault
    )


def test_an_artifact_from_before_models_told_what_they_read_serves_under_its_own_definition_alone(
    follow: Callable[..., Following], scene: Scene, tmp_path: Path
) -> None:
    tree = scene.train(10)["tree"]
    content = scene.store.write(replace(tree.checkpoint(), inputs=None))
    scene.pointers.point(scene.examples, {"tree": ModelPointer("1.1", 10, content)})
    assert follow().refreshed("tree").version == "1.1"
    following = another(scene, tmp_path, LEARNERS.replace("grace_period=50", "grace_period=60"))
    assert following.refreshed("tree").version == "untrained"
    assert "from before models told what they read" in following.models.faults[0]


def test_a_version_that_has_learned_less_waits(follow: Callable[..., Following], scene: Scene) -> None:
    following = follow()
    tree = scene.train(10)["tree"]
    scene.pointers.point(scene.examples, {"tree": scene.moved("tree", 12)})
    before = following.refreshed("tree")
    content = scene.store.write(replace(tree.checkpoint(), header=replace(tree.checkpoint().header, minor=1)))
    for offset in (11, 12):
        scene.pointers.point(scene.examples, {"tree": ModelPointer("1.1", offset, content, era=2)})
        arm = following.refreshed("tree")
        assert (arm is before) == (offset == 11)
        assert arm.offset == 12
    assert (arm.version, following.models.faults, following.failures) == ("1.1", [], [])
    made_anew = ModelPointers(scene.redis, scene.plan.project, "made anew", key=KEY)
    made_anew.point(scene.examples, {"tree": ModelPointer("3.0", 0, content)})
    assert following.refreshed("tree") is arm
    assert following.models.faults[0].endswith("as many, or where this process is started anew")


def test_a_version_that_an_operator_chose_serves_though_it_has_learned_less(
    follow: Callable[..., Following], scene: Scene
) -> None:
    following = follow()
    tree = scene.train(10)["tree"]
    older = scene.pointers.serving()["tree"]
    content = scene.store.write(tree.checkpoint())
    scene.pointers.point(scene.examples, {"tree": ModelPointer("1.1", 12, content, era=2)})
    assert following.refreshed("tree").version == "1.1"
    scene.pointers.point(scene.examples, {"tree": replace(older, era=5)})
    assert following.refreshed("tree").version == "1.1"  # nobody chose it
    scene.pointers.point(scene.examples, {"tree": replace(older, era=6, is_chosen=True)})
    arm = following.refreshed("tree")
    assert (arm.version, arm.offset, following.models.faults) == ("1.0", 10, [])
    raw = json.loads(scene.redis.hget(models_key(scene.plan.project), "tree") or b"")
    forged = json.dumps(raw | {"version": "1.1", "era": 7})
    scene.redis.hset(models_key(scene.plan.project), "tree", forged)
    assert following.refreshed("tree").version == "1.0"
    assert "is not signed with the key" in following.models.faults[0]


def test_a_redis_that_lost_everything_leaves_models_and_epoch_as_they_are(
    follow: Callable[..., Following], scene: Scene
) -> None:
    following = follow()
    scene.train(10)
    scene.set_epoch(4, base=0.25, tree=0.75)
    following.models.refresh()
    before = following.models.live
    scene.redis.flushdb()
    following.models.refresh()
    assert following.models.live == before
    assert following.models.is_loaded
    fresh = follow()
    fresh.models.refresh()
    assert not fresh.models.is_loaded  # there are versions, and no pointer says which
    assert fresh.models.faults[0] == (
        "arm 'base': Redis has no pointer to learner 'base', and the model store has versions of it: run "
        "`headrace train`, which puts it back"
    )


def test_before_anything_could_be_loaded_a_replica_is_not_ready_and_says_why(
    follow: Callable[..., Following], scene: Scene, tmp_path: Path
) -> None:
    scene.train(10)
    other_key = ModelStore(scene.store.directory, b"another key of 16")
    nowhere = ModelStore(tmp_path / "nowhere", KEY)
    told = {
        other_key: "is not signed with the key of this process (HEADRACE_MODEL_KEY)",
        nowhere: "have every `train` and `serve` use one model store (HEADRACE_DATA_DIR)",
    }
    for store, why in told.items():
        models = LiveModels(scene.plan, scene.plan.routers[0], scene.project, store, scene.redis, "r3")
        models.refresh()
        assert not models.is_loaded
        assert len(models.faults) == len(scene.plan.routers[0].arms)
        assert models.faults[0].startswith("arm 'base': ")
        assert why in models.faults[0]


def test_a_version_that_cannot_be_loaded_leaves_the_one_before_and_is_tried_again(
    follow: Callable[..., Following], scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    following = follow()
    tree = scene.train(10)["tree"]
    before = following.refreshed("tree")
    scene.pointers.point(scene.examples, {"tree": ModelPointer("1.1", 20)})
    assert following.refreshed("tree") is before
    following.models.refresh()
    assert following.failures == ["tree"]  # it waits before it tries again
    monkeypatch.setattr(live_models, "RETRY_S", 0.0)
    scene.pointers.point(scene.examples, {"tree": ModelPointer("1.2", 20)})
    assert following.refreshed("tree") is before
    (scene.store.directory / "tree" / "1.2.model").write_bytes(b"not yet complete")
    assert following.refreshed("tree") is before
    assert following.failures == ["tree"] * 3
    artifact = [tree.checkpoint() for _ in range(3)][-1]
    scene.pointers.point(scene.examples, {"tree": ModelPointer("1.3", 30, scene.store.write(artifact))})
    assert (following.refreshed("tree").version, following.refreshed("tree").offset) == ("1.3", 30)


def test_an_epoch_of_other_arms_serves_restricted_to_those_of_the_plan(
    follow: Callable[..., Following], scene: Scene
) -> None:
    following = follow()
    epoch = scene.set_epoch(4, base=1.0)
    following.models.refresh()
    assert following.models.live.epoch == epoch
    vector = {"base": 0.4, "static": 0.3, "streaming": 0.1, "crossed": 0.0, "gone": 0.2}
    closings = scene.plan.topics.router("delays").closings
    other = epoch.model_copy(update={"epoch": 5, "propensities": vector})
    scene.pointers.put_in_force(other, closings, {0: 0})
    following.models.refresh()
    live = following.models.live.epoch
    assert (live.epoch, list(live.propensities)) == (5, list(scene.plan.routers[0].arms))
    assert live.propensities == pytest.approx(
        {"base": 0.475, "static": 0.35625, "streaming": 0.11875, "crossed": 0.0, "tree": 0.05}
    )
    elsewhere = epoch.model_copy(update={"epoch": 6, "propensities": {"gone": 1.0}})
    scene.pointers.put_in_force(elsewhere, closings, {0: 0})
    following.models.refresh()
    assert set(following.models.live.epoch.propensities.values()) == {0.2}


@pytest.mark.parametrize(
    ("vector", "fault"),
    [
        ({"base": math.nan}, "the propensity of arm 'base' is nan"),
        ({"base": math.inf}, "the propensity of arm 'base' is inf"),
        ({"base": 1.5, "tree": -0.5}, "the propensity of arm 'tree' is -0.5"),
        ({"base": 0.5, "tree": 0.4}, "its propensities sum to 0.9"),
        ({}, "its propensities sum to 0"),
    ],
)
def test_a_vector_that_is_no_distribution_leaves_the_last_good_one_and_is_told(
    scene: Scene, vector: dict[str, float], fault: str
) -> None:
    counted: list[None] = []
    models = LiveModels(
        scene.plan, scene.plan.routers[0], scene.project, scene.store, scene.redis, "r1",
        on_epoch_fault=lambda: counted.append(None),
    )  # fmt: skip
    good = scene.set_epoch(4, base=0.25, tree=0.75)
    models.refresh()
    scene.set_epoch(5, **vector)
    models.refresh()
    models.refresh()
    assert models.live.epoch == good
    assert models.epoch_fault == f"epoch 5 of router 'delays' does not serve: {fault}"
    assert len(counted) == 1
    better = scene.set_epoch(6, base=1.0)
    models.refresh()
    assert (models.live.epoch, models.epoch_fault) == (better, None)


def test_progress_is_that_of_the_arm_furthest_behind_and_of_the_closings(
    follow: Callable[..., Following], scene: Scene
) -> None:
    following = follow()
    scene.train(10)
    scene.pointers.point(scene.examples, {"tree": scene.moved("tree", 30)})
    closings = scene.plan.topics.router("delays").closings
    epoch = scene.set_epoch(1, base=1.0)
    scene.pointers.put_in_force(epoch, closings, {0: 7, 1: 3})
    following.models.refresh()
    assert replicas(scene) == {(scene.examples, 0): 10, (closings, 0): 7, (closings, 1): 3}


def test_what_is_written_is_followed_until_it_is_closed_which_ends_its_progress(
    follow: Callable[..., Following], scene: Scene
) -> None:
    following = follow()
    assert not following.models.followed.is_set()
    following.models.start()
    eventually(following.models.followed.is_set, "a first look at Redis")
    scene.train(10)
    scene.set_epoch(3, tree=1.0)
    eventually(lambda: following.arm("tree").offset, "the version that was published", lambda n: n == 10)
    eventually(lambda: following.models.live.epoch.epoch, "the epoch put in force", lambda n: n == 3)
    eventually(lambda: replicas(scene).get((scene.examples, 0)), "progress", lambda n: n == 10)
    following.models.close()
    assert replicas(scene) == {}
    scene.set_epoch(4, base=1.0)
    assert following.models.live.epoch.epoch == 3


def test_an_entry_that_is_not_signed_stops_its_own_arm_and_is_told_once(
    follow: Callable[..., Following], scene: Scene
) -> None:
    following = follow()
    scene.train(10)
    following.models.refresh()
    before = following.arm("tree")
    unsigned = ModelPointers(scene.redis, scene.plan.project)
    unsigned.point(scene.examples, {"tree": ModelPointer("1.7", 90)})
    scene.pointers.point(scene.examples, {"base": replace(scene.pointers.serving()["base"], offset=95)})
    following.models.refresh()
    following.models.refresh()
    assert following.arm("tree") is before
    assert following.arm("base").offset == 95
    assert following.failures == ["tree"]
    (fault,) = following.models.faults
    assert "arm 'tree': the pointer of learner 'tree' in Redis is not signed: it is of before" in fault


def test_a_pointer_that_goes_back_stops_its_arm_until_it_goes_forward(
    follow: Callable[..., Following], scene: Scene
) -> None:
    following = follow()
    tree = scene.train(10)["tree"]
    following.models.refresh()
    key, before = models_key(scene.plan.project), following.arm("tree")
    older = scene.redis.hget(key, "tree")
    assert older is not None
    newest = ModelPointer("1.1", before.offset + 50, scene.store.write(tree.checkpoint()))
    scene.pointers.point(scene.examples, {"tree": newest})
    assert following.refreshed("tree").offset == newest.offset
    scene.redis.hset(key, "tree", older)  # signed, and replayed
    assert following.refreshed("tree").offset == newest.offset
    (fault,) = following.models.faults
    assert "goes back from" in fault
    scene.pointers.point(scene.examples, {"tree": replace(newest, offset=newest.offset + 1)})
    assert following.refreshed("tree").offset == newest.offset + 1
    assert following.models.faults == []


def test_an_epoch_that_goes_back_or_is_not_signed_leaves_the_last_good_one(
    follow: Callable[..., Following], scene: Scene
) -> None:
    following = follow()
    key, router = epochs_key(scene.plan.project), scene.plan.routers[0].name
    scene.set_epoch(4, base=1.0)
    older = scene.redis.hget(key, router)
    assert older is not None
    good = scene.set_epoch(5, base=0.5, tree=0.5)
    following.models.refresh()
    for text in (older, good.to_bytes(), b"{}", b"\xff"):
        scene.redis.hset(key, router, text)
        following.models.refresh()
        assert following.models.live.epoch == good
        assert len(following.models.faults) == 1
    better = scene.set_epoch(6, base=1.0)
    following.models.refresh()
    assert (following.models.live.epoch, following.models.faults) == (better, [])


def test_a_key_of_another_kind_leaves_the_models_and_is_told(
    follow: Callable[..., Following], scene: Scene
) -> None:
    scene.train(10)
    following = follow()
    following.models.start()
    try:
        eventually(lambda: following.arm("tree").offset, "the version that was published", lambda n: n == 10)
        key = models_key(scene.plan.project)
        kept = scene.redis.dump(key)
        assert isinstance(kept, bytes)
        scene.redis.set(key, "no hash")
        (fault,) = eventually(lambda: following.models.faults, "a fault")
        assert "models of router 'delays' stay as they are: Redis refuses what is in force" in fault
        assert "WRONGTYPE" in fault
        assert following.arm("tree").offset == 10
        scene.redis.restore(key, 0, kept, replace=True)
        eventually(lambda: not following.models.faults, "no fault any more")
    finally:
        following.models.close()
