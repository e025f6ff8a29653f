"""Definitions that change as trainers take over: who serves, what a version is called, what is kept."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import redis
from confluent_kafka import Producer

from headrace.learners.models.pointers import ModelPointer, ModelPointers, models_key
from headrace.learners.models.store import ModelStore
from headrace.learners.models.versions import PublishedVersion, read_versions
from headrace.learners.training import examples as examples_module
from headrace.learners.training.changelog import model_key
from headrace.learners.training.examples import ExampleConsumer
from headrace.learners.training.learner_state import LearnerState
from headrace.learners.training.past import Past
from headrace.learners.training.trainer import replay
from headrace.schemas.records import Example
from headrace.schemas.topics import RouterTopics
from headrace.streams.progress import ProgressStore
from tests.support.flight_learners import HOUR_MS, LEARNERS, examples, flights
from tests.support.messages import mark, record
from tests.support.train_process import KEY
from tests.support.training_log import Log
from tests.support.waiting import PATIENCE_S

ONE_ARM = LEARNERS.replace("arms=[one.name for one in LEARNERS]", 'arms=["tree"]').replace(
    'champion="streaming"', 'champion="tree"'
)


def grace(period: int) -> str:
    """A project of another definition of its one arm."""
    return ONE_ARM.replace("grace_period=50", f"grace_period={period}")


@dataclass
class Told:
    """What a trainer has pointed to: the version that serves, the prefix it stands for, and that learned."""

    pointer: ModelPointer
    learned: int


class Scene:
    """Examples, two and a mark for each hour, that trainers of one definition after another learn."""

    def __init__(self, redis_url: str, project: str, folder: Path) -> None:
        self.project, self.folder = project, folder
        self.redis = redis.Redis.from_url(redis_url)
        self.store = ModelStore(folder / "models", KEY, keep=3)
        self.topic = RouterTopics(project, "delays").examples
        self.log = Log(project, self.topic, RouterTopics(project, "moved").examples)
        plan, _ = flights(folder, project, ONE_ARM)
        self.examples = list(examples(plan, 60))
        self.records: list[Example | int] = []
        for number, example in enumerate(self.examples):
            self.records.append(example)
            if number % 2:
                self.records.append((number // 2 + 1) * HOUR_MS)
        self.pointers = ModelPointers(self.redis, project, "log", plan.hash)
        self._progress = ProgressStore(self.redis, plan)

    def trainer(self, text: str = ONE_ARM) -> ExampleConsumer:
        """One that takes over, of a definition."""
        plan, project = flights(self.folder, self.project, text)
        out, state = self.log.open(), self.log.state()
        consumer = ExampleConsumer(
            plan, plan.routers[0], project, self.store, state.models, out, self.pointers, 0.0,
            Past(self.log.bootstrap, plan),
        )  # fmt: skip
        consumer.begin()
        return consumer

    def learn(self, trainer: ExampleConsumer, upto: int) -> None:
        """Hand over records, and publish what follows."""
        self.hand_over(trainer, upto)
        trainer.tick()
        trainer.finish()

    def hand_over(self, trainer: ExampleConsumer, upto: int) -> None:
        """Hand over records from where the trainer is."""
        for offset in range(trainer.offset, upto):
            value = self.records[offset]
            if isinstance(value, int):
                trainer.take(mark(self.topic, offset, value))
            else:
                trainer.take(record(self.topic, offset, value.to_bytes()))

    def told(self) -> Told:
        pointer = self.pointers.serving()["tree"]
        return Told(pointer, self._progress.read()["train", self.topic, 0, "tree"].next_offset)

    def served(self) -> tuple[str, int]:
        pointer = self.told().pointer
        return pointer.version, pointer.offset

    def lineage(self) -> list[PublishedVersion]:
        return read_versions(self.log.bootstrap, self.project)

    def state(self) -> LearnerState:
        return self.log.state().models["tree"]

    def files(self) -> list[str]:
        return sorted(path.name.partition("-")[0] for path in (self.store.directory / "tree").glob("*.model"))


@pytest.fixture
def scene(redis_url: str, project: str, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(redis_url, project, tmp_path)
    yield scene
    scene.log.close()


def test_a_predecessor_serves_until_its_successor_has_learned_as_much(scene: Scene) -> None:
    scene.learn(scene.trainer(), 9)
    assert scene.served() == ("1.3", 9)
    successor = scene.trainer(grace(60))
    assert scene.served() == ("1.3", 9)
    scene.learn(successor, 6)
    assert (scene.served(), scene.told().learned) == (("1.3", 9), 6)
    left = {sample.name: sample.value for sample in successor.samples()}["train_cut_over_records"]
    assert left == 3
    scene.learn(successor, 9)
    assert scene.served() == ("2.3", 9)
    assert [version.version for version in scene.lineage()][-4:] == ["2.0", "2.1", "2.2", "2.3"]


def test_a_trainer_that_takes_over_while_a_successor_learns_goes_on_with_both(scene: Scene) -> None:
    scene.learn(scene.trainer(), 9)
    scene.learn(scene.trainer(grace(60)), 6)
    again = scene.trainer(grace(60))
    assert (again.offset, scene.served()) == (6, ("1.3", 9))
    scene.learn(again, 12)
    assert scene.served() == ("2.4", 12)


def test_the_former_definition_is_taken_up_again_with_its_versions(scene: Scene) -> None:
    scene.learn(scene.trainer(), 9)
    scene.learn(scene.trainer(grace(60)), 15)
    assert scene.served() == ("2.5", 15)
    back = scene.trainer()
    assert (back.offset, scene.served()) == (9, ("2.5", 15))
    scene.learn(back, 12)
    assert scene.served() == ("2.5", 15)
    scene.learn(back, 15)
    assert scene.served() == ("1.5", 15)
    assert [one.major for one in scene.state().definitions] == [2, 1]
    assert scene.trainer(grace(60)).offset == 15


def test_a_plan_that_is_taken_back_before_the_cut_over_leaves_everything_as_it_was(scene: Scene) -> None:
    scene.learn(scene.trainer(), 9)
    scene.learn(scene.trainer(grace(60)), 3)
    back = scene.trainer()
    assert (back.offset, scene.served()) == (9, ("1.3", 9))
    scene.learn(back, 12)
    assert scene.served() == ("1.4", 12)


def test_a_former_definition_whose_files_are_gone_begins_with_a_number_of_its_own(scene: Scene) -> None:
    scene.learn(scene.trainer(), 9)
    scene.learn(scene.trainer(grace(60)), 12)
    for path in (scene.store.directory / "tree").glob("1.*"):
        path.unlink()
    scene.learn(scene.trainer(), 12)
    assert scene.served() == ("3.4", 12)


def test_of_former_definitions_few_artifacts_are_kept(scene: Scene) -> None:
    for number, period in enumerate((50, 60, 70, 80, 90)):
        scene.learn(scene.trainer(grace(period)), 9 + 3 * number)
    newest = ["5.1", "5.2", "5.3", "5.4", "5.5", "5.6", "5.7"]  # the first of each hour
    assert scene.files() == ["2.4", "3.5", "4.6", *newest]
    scene.learn(scene.trainer(grace(50)), 21)
    assert scene.served() == ("6.7", 21)  # of the definition of 1.x nothing was left


@pytest.mark.parametrize("examples_are_there", [True, False])
def test_without_its_changelog_a_trainer_gives_no_name_again_and_the_last_version_serves_meanwhile(
    scene: Scene, examples_are_there: bool
) -> None:
    scene.learn(scene.trainer(), 9)
    scene.learn(scene.trainer(grace(60)), 9)
    log, scene.log = scene.log, Log(scene.project, scene.topic)
    out = scene.log.open()
    for version in read_versions(log.bootstrap, scene.project):
        out.record(version)
    out.name("other", log.state().models["tree"], lambda: None)
    out.commit()
    log.close()
    if examples_are_there:
        producer = Producer({"bootstrap.servers": scene.log.bootstrap})
        for _ in range(12):
            producer.produce(scene.topic, b"")
        assert producer.flush(PATIENCE_S) == 0
    scene.pointers = ModelPointers(scene.redis, scene.project, "made anew")
    trainer = scene.trainer()
    assert (trainer.offset, scene.served()) == (0, ("2.3", 9) if examples_are_there else ("3.0", 0))
    scene.learn(trainer, 9)
    assert scene.served() == ("3.3", 9)
    assert scene.trainer(grace(60)).offset == 0  # the log knows nothing of what 2.3 has learned


def test_a_learner_that_moves_to_another_router_learns_its_examples_from_the_first(scene: Scene) -> None:
    scene.learn(scene.trainer(), 9)
    moved = scene.trainer(ONE_ARM.replace('name="delays"', 'name="moved"'))
    assert moved.offset == 0
    assert scene.state().serving == 2
    back = scene.trainer()
    assert (back.offset, scene.state().serving) == (9, 1)


def test_a_changelog_from_before_definitions_were_told_is_gone_on_from(scene: Scene) -> None:
    scene.learn(scene.trainer(), 9)
    scene.learn(scene.trainer(grace(60)), 12)
    kept = [[one.version, one.artifact] for one in scene.state().kept]
    raw = {"v": 1, "by": "0.1.0", "offset": 12, "recorded": True, "kept": kept}
    before = scene.log.open()
    before._entries[model_key("tree")] = json.dumps(raw).encode()
    before.commit()
    back = scene.trainer()
    assert (back.offset, scene.served()) == (9, ("2.4", 12))
    scene.learn(back, 12)
    assert scene.served() == ("1.4", 12)


def test_a_version_that_was_not_recorded_is_when_another_definition_takes_over(scene: Scene) -> None:
    trainer = scene.trainer()
    scene.hand_over(trainer, 3)  # it ends behind the name of its version
    assert [version.version for version in scene.lineage()] == ["1.0"]
    scene.trainer(grace(60))
    assert [version.version for version in scene.lineage()] == ["1.0", "1.1", "2.0"]


def test_a_redis_that_lost_everything_gets_pointers_and_progress_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.learn(scene.trainer(), 9)
    successor = scene.trainer(grace(60))
    scene.learn(successor, 6)
    before = scene.told()
    scene.redis.flushdb()
    successor.tick()
    assert not scene.redis.exists(models_key(scene.project))
    monkeypatch.setattr(examples_module, "REPEAT_S", 0.0)
    successor.tick()
    assert scene.told() == before


@pytest.mark.parametrize(
    ("seed", "rounds"), [(1, 8), *(pytest.param(seed, 30, marks=pytest.mark.faults) for seed in range(2, 12))]
)
def test_whoever_takes_over_what_serves_goes_on_and_no_name_means_two_things(
    scene: Scene, seed: int, rounds: int
) -> None:
    chance = random.Random(seed)
    seen: list[Told] = []
    texts = {period: grace(period) for period in (50, 60, 70)}
    written = 0
    for _ in range(rounds):
        period = chance.choice([*texts])
        trainer = scene.trainer(texts[period])
        seen.append(scene.told())
        written = min(len(scene.records), written + chance.randint(0, 5))
        for upto in range(trainer.offset, written + 1):
            scene.learn(trainer, upto)
            seen.append(scene.told())
            if chance.random() < 0.05:
                break  # it is killed
    offsets = [told.pointer.offset for told in seen]
    assert offsets == sorted(offsets)
    plans = {text: flights(scene.folder, scene.project, text)[0] for text in texts.values()}
    definitions = {plan.learner("tree").definition: text for text, plan in plans.items()}
    lineage = [replace(version, created_ms=0, artifact="") for version in scene.lineage()]
    assert len({version.version for version in lineage}) == len(lineage)
    for version in lineage:
        plan, project = flights(scene.folder, scene.project, definitions[version.definition])
        learned = ((n, one) for n, one in enumerate(scene.records) if isinstance(one, Example))
        assert replay(plan, project.learner("tree"), learned, version.offset) == version.digest
