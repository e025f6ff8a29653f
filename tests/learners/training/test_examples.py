"""The consumer of examples: when versions are published, and what becomes of records it cannot learn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from headrace.learners.models.pointers import ModelPointer, ModelPointers
from headrace.learners.models.store import Artifact, ModelStore
from headrace.learners.models.versions import LINEAGE, read_versions
from headrace.learners.training.examples import ExampleConsumer
from headrace.learners.training.learner_state import state_of_artifacts
from headrace.learners.training.named_artifacts import NamedArtifact
from headrace.learners.training.past import Past
from headrace.learners.training.trainer import Trainer
from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.errors import ModelError
from headrace.schemas.records import Example
from headrace.schemas.topics import RouterTopics
from tests.support.flight_learners import HOUR_MS, examples, flights
from tests.support.messages import mark, record
from tests.support.train_process import KEY
from tests.support.training_log import Log

NEVER_S = 1e9  # the wall clock publishes nothing


class Scene:
    """A project whose examples are handed over one by one."""

    def __init__(self, redis_url: str, project: str, folder: Path) -> None:
        self.plan, self.project = flights(folder, project)
        self.router = self.plan.routers[0]
        self.store = ModelStore(folder / "models", KEY)
        self.pointers = ModelPointers(redis.Redis.from_url(redis_url), project)
        self.examples = RouterTopics(project, "delays").examples
        self.log = Log(project, self.examples)
        self.out = self.log.open()

    def consumer(self, publish_every_s: float = NEVER_S, store: ModelStore | None = None) -> ExampleConsumer:
        """One that goes on from what the log has."""
        self.out = self.log.open()
        states = self.log.state().models
        return ExampleConsumer(
            self.plan,
            self.router,
            self.project,
            store or self.store,
            states,
            self.out,
            self.pointers,
            publish_every_s,
            Past(self.log.bootstrap, self.plan),
        )

    def stream(self, count: int) -> list[Example]:
        return list(examples(self.plan, count))

    def feed(self, consumer: ExampleConsumer, values: list[bytes | int], first: int = 0) -> None:
        """Hand over records from an offset on; a number is a time mark."""
        for offset, value in enumerate(values, first):
            is_mark = isinstance(value, int)
            consumer.take(
                mark(self.examples, offset, value) if is_mark else record(self.examples, offset, value)
            )

    def versions(self, arm: str) -> list[tuple[str, int, int]]:
        """Each version with the prefix it stands for, and how many examples of it were learned."""
        self.out.commit()
        versions = read_versions(self.log.bootstrap, self.plan.project)
        return [(v.version, v.offset, v.examples) for v in versions if v.name == arm]

    def pointer(self, arm: str) -> ModelPointer:
        return replace(self.pointers.read(self.router).pointers[arm], artifact="")

    def files(self, arm: str) -> list[str]:
        """The versions of which there are artifacts."""
        files = (self.store.directory / arm).glob("*.model")
        return sorted(file.name.partition("-")[0].removesuffix(".model") for file in files)

    def dead_letters(self) -> list[DeadLetter]:
        self.out.commit()
        return self.log.dead_letters()


@pytest.fixture
def scene(redis_url: str, project: str, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(redis_url, project, tmp_path)
    yield scene
    scene.log.close()


def bodies(stream: list[Example]) -> list[bytes]:
    return [example.to_bytes() for example in stream]


def test_an_untrained_model_is_published_before_the_first_example(scene: Scene) -> None:
    consumer = scene.consumer()
    consumer.begin()
    consumer.record_versions()
    assert (consumer.offset, consumer.clock_ms) == (0, None)
    for arm in scene.router.arms:
        assert scene.versions(arm) == [("1.0", 0, 0)]
        assert scene.pointer(arm) == ModelPointer("1.0", 0)


def test_a_version_comes_with_each_hour_of_event_time_in_which_something_was_learned(scene: Scene) -> None:
    consumer, stream = scene.consumer(), bodies(scene.stream(5))
    consumer.begin()
    hours: list[bytes | int] = [*stream[:2], HOUR_MS, *stream[2:], 2 * HOUR_MS, 3 * HOUR_MS]
    scene.feed(consumer, hours)
    consumer.record_versions()
    assert scene.versions("tree") == [("1.0", 0, 0), ("1.1", 3, 2), ("1.2", 7, 5)]
    assert scene.pointer("tree") == ModelPointer("1.2", 8)  # nothing was learned in the third hour
    assert (consumer.offset, consumer.clock_ms) == (8, 3 * HOUR_MS)


def test_by_the_wall_clock_a_version_comes_when_it_is_due_and_something_was_learned(scene: Scene) -> None:
    consumer = scene.consumer(publish_every_s=1e-9)
    consumer.begin()
    consumer.tick()
    scene.feed(consumer, [*bodies(scene.stream(2))])
    consumer.tick()
    consumer.tick()
    consumer.record_versions()
    assert scene.versions("base") == [("1.0", 0, 0), ("1.1", 2, 2)]


@pytest.mark.parametrize(
    ("publish_every_s", "versions"), [(NEVER_S, [("1.0", 0, 0), ("1.1", 2, 2)]), (0.0, [("1.0", 0, 0)])]
)
def test_at_its_end_it_publishes_what_was_learned_unless_versions_follow_marks_alone(
    scene: Scene, publish_every_s: float, versions: list[tuple[str, int, int]]
) -> None:
    consumer = scene.consumer(publish_every_s)
    consumer.begin()
    scene.feed(consumer, [*bodies(scene.stream(2))])
    consumer.tick()
    consumer.finish()
    assert scene.versions("base") == versions


def test_each_learner_goes_on_from_its_own_newest_version(scene: Scene) -> None:
    stream = scene.stream(6)
    ahead = Trainer(scene.plan, scene.project.learner("tree"))
    for offset, example in enumerate(stream[:4]):
        ahead.take(offset, example)
    named(scene, ahead.checkpoint())
    consumer = scene.consumer()
    consumer.begin()
    assert consumer.offset == 0
    scene.feed(consumer, bodies(stream))
    consumer.finish()
    # That of before is recorded, since whoever named it did not come to that.
    assert scene.versions("tree") == [("1.0", 4, 4), ("1.1", 6, 6)]
    assert scene.versions("base") == [("1.0", 0, 0), ("1.1", 6, 6)]


def named(scene: Scene, artifact: Artifact) -> NamedArtifact:
    """Have the log name an artifact, and nothing more: as after a crash."""
    name = artifact.header.name
    newest = NamedArtifact(artifact.header.version, scene.store.write(artifact))
    kept = (*(one for found in [scene.log.state().models.get(name)] if found for one in found.kept), newest)
    out = scene.log.open()
    out.name(name, state_of_artifacts(artifact.header.offset, False, kept), lambda: None)
    out.commit()
    return newest


def test_a_file_that_the_log_does_not_name_is_nobodys(scene: Scene) -> None:
    first, stray = scene.consumer(), Trainer(scene.plan, scene.project.learner("tree"))
    first.begin()
    stray.checkpoint()
    for offset, example in enumerate(scene.stream(3)):
        stray.take(offset, example)
    scene.store.write(stray.checkpoint())
    assert scene.files("tree") == ["1.0", "1.1"]
    second = scene.consumer()
    second.begin()
    assert scene.pointer("tree") == ModelPointer("1.0", 0)
    scene.feed(second, bodies(scene.stream(2)))
    second.finish()
    assert scene.versions("tree") == [("1.0", 0, 0), ("1.1", 2, 2)]
    assert scene.files("tree") == ["1.0", "1.1"]  # and the stray one is gone


def test_of_the_artifacts_that_the_log_names_the_last_are_kept(scene: Scene) -> None:
    store = ModelStore(scene.store.directory, KEY, keep=2)
    consumer = scene.consumer(store=store)
    consumer.begin()
    for hour, body in enumerate(bodies(scene.stream(3))):
        scene.feed(consumer, [body, (hour + 1) * HOUR_MS], 2 * hour)
    # The two newest, and the first of the day; that of before the first example is of no time.
    assert scene.files("tree") == ["1.1", "1.2", "1.3"]


def test_when_the_newest_artifact_is_gone_its_examples_are_learned_again(scene: Scene) -> None:
    stream, trainer = scene.stream(4), Trainer(scene.plan, scene.project.learner("tree"))
    for end in (2, 4):
        for offset, example in enumerate(stream[:end]):
            trainer.take(offset, example)
        newest = named(scene, trainer.checkpoint())
    (scene.store.directory / "tree" / f"1.1-{newest.artifact}.model").unlink()
    consumer = scene.consumer()
    consumer.begin()
    scene.feed(consumer, bodies(stream))
    consumer.finish()
    assert scene.versions("tree")[-1] == ("1.2", 4, 4)


def test_without_any_artifact_that_the_log_names_it_does_not_begin(scene: Scene, tmp_path: Path) -> None:
    scene.consumer().begin()
    elsewhere = ModelStore(tmp_path / "elsewhere", KEY)
    with pytest.raises(ModelError, match=r"has no artifact of it: .* one model store"):
        scene.consumer(store=elsewhere)


def test_a_model_store_from_before_the_log_named_artifacts_is_taken_over(scene: Scene) -> None:
    trainer, stream = Trainer(scene.plan, scene.project.learner("tree")), scene.stream(3)
    folder, lines = scene.store.directory / "tree", []
    for end in (0, 2):
        for offset, example in enumerate(stream[:end]):
            trainer.take(offset, example)
        artifact = trainer.checkpoint()
        content, version = scene.store.write(artifact), artifact.header.version
        (folder / f"{version}-{content}.model").rename(folder / f"{version}.model")
        lines.append(trainer.describe(artifact.header).encode().decode())
    (folder / LINEAGE).write_text("\n".join(lines))
    consumer = scene.consumer()
    consumer.begin()
    assert scene.pointer("tree") == ModelPointer("1.1", 2)
    scene.feed(consumer, bodies(stream))
    consumer.finish()
    assert scene.versions("tree") == [("1.0", 0, 0), ("1.1", 2, 2), ("1.2", 3, 3)]


def test_what_is_no_example_is_a_dead_letter_and_passed(scene: Scene) -> None:
    consumer, stream = scene.consumer(), bodies(scene.stream(2))
    consumer.begin()
    scene.feed(consumer, [stream[0], b"no example", stream[1]])
    assert consumer.offset == 3
    (dead_letter,) = scene.dead_letters()
    assert (dead_letter.topic, dead_letter.offset, dead_letter.kind) == (scene.examples, 1, "malformed")
    assert dead_letter.original_value == b"no example"
    assert dead_letter.reason.startswith("no Example:")


def test_a_mark_of_partitions_that_are_not_there_does_not_hold_the_clock_for_good(scene: Scene) -> None:
    consumer, example = scene.consumer(), scene.stream(1)[0]
    consumer.begin()
    now_ms = example.prediction.ts_ms
    for offset, place in enumerate([(0, 4096), (0, 2), (1, 2)]):
        consumer.take(mark(scene.examples, offset, now_ms, place=place))
    assert consumer.clock_ms == now_ms
    (dead_letter,) = scene.dead_letters()
    assert "one of 4096 partitions, and there are 2" in dead_letter.reason


def test_an_example_on_which_one_model_raises_is_learned_by_the_others(scene: Scene) -> None:
    consumer, (example,) = scene.consumer(), scene.stream(1)
    asked = example.prediction.model_copy(update={"request": {"distance": None, "flight": "f"}})
    consumer.begin()
    scene.feed(consumer, [example.model_copy(update={"prediction": asked}).to_bytes()])
    (dead_letter,) = scene.dead_letters()
    assert (dead_letter.kind, dead_letter.reason) == (
        "invalid",
        "learner 'crossed' raised KeyError: 'distance'",
    )
    learned = {
        (sample.name, sample.labels["learner"]): sample.value
        for sample in consumer.samples()
        if sample.name in ("train_learned", "train_poisoned")
    }
    assert (learned["train_learned", "base"], learned["train_poisoned", "base"]) == (1, 0)
    assert (learned["train_learned", "crossed"], learned["train_poisoned", "crossed"]) == (0, 1)


def test_the_end_of_a_topic_with_gaps_is_a_prefix_of_its_own(scene: Scene) -> None:
    consumer = scene.consumer()
    consumer.begin()
    consumer.reach(12)
    consumer.tick()
    assert consumer.offset == 12
    assert scene.pointer("tree") == ModelPointer("1.0", 12)
