"""Several trainers, one of them paused past its session: what it does after that has no effect.

Some seams run with all tests, the others in `make test-faults`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from headrace.learners.routing.epochs import EpochKeeper
from headrace.learners.training.trainer import Trainer
from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.marks import Mark
from headrace.schemas.records import Epoch
from tests.support.flight_learners import HOUR_MS, closings, examples
from tests.support.join_scene import ForkedJoin as Forked
from tests.support.pausing_trainer import SEAMS
from tests.support.pointer_watch import PointerWatch
from tests.support.train_scene import Scene
from tests.support.waiting import eventually, until_some_moment

SESSION = {"publish_every_s": 0, "session_timeout_ms": 1500}
HOURS = 14
A_HOUR = 6  # examples, and closings
Started = Callable[..., Forked]


@pytest.fixture
def scene(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Scene:
    scene = Scene(kafka_bootstrap, redis_url, project, tmp_path)
    (tmp_path / "plan.json").write_text(scene.plan.to_json())
    return scene


@pytest.fixture
def start(scene: Scene) -> Iterator[Started]:
    """Starts a further trainer of the group."""
    started: list[Forked] = []

    def start_trainer(program: str = "train_process", **config: Any) -> Forked:
        name, folder = f"train-{len(started)}", scene.folder
        places = [str(folder / "plan.json"), str(folder), scene.bootstrap, scene.redis_url]
        arguments = [*places, str(scene.store.directory), json.dumps({**SESSION, **config})]
        trainer = Forked(name, [f"tests.support.{program}", *arguments], folder / f"{name}.log")
        started.append(trainer)
        trainer.start()
        return trainer

    yield start_trainer
    for trainer in started:
        trainer.kill()


class Course:
    """Hours of examples and closings, what follows from them, and how far they have been written."""

    def __init__(self, scene: Scene, hours: int = HOURS) -> None:
        self.scene, self.hours, self.written = scene, hours, 0
        self._examples = list(examples(scene.plan, hours * A_HOUR))
        self._closings = list(closings(scene.plan, hours * A_HOUR, {"streaming": 0.8, "base": 0.5}))
        self._start_ms = 10 * 24 * HOUR_MS  # behind everything

    def hour(self, number: int) -> tuple[list[bytes | int], list[bytes | int]]:
        """Records of one hour, ended by its mark; among the examples one that is none."""
        part = slice(number * A_HOUR, (number + 1) * A_HOUR)
        end_ms = self._start_ms + number * HOUR_MS
        learned: list[bytes | int] = [example.to_bytes() for example in self._examples[part]]
        closed = [self._late(closing, end_ms) for closing in self._closings[part]]
        return [*learned, b"no example", end_ms], [*closed, end_ms + 2 * HOUR_MS]

    def _late(self, closing: Any, end_ms: int) -> bytes:
        prediction = closing.prediction.model_copy(
            update={"ts_ms": end_ms - self.scene.router.wait_ms + HOUR_MS}
        )
        return bytes(closing.model_copy(update={"prediction": prediction}).to_bytes())

    def write_hour(self) -> None:
        """One more hour; partition 1 of the closings has marks alone."""
        learned, closed = self.hour(self.written)
        self.scene.write(self.scene.examples, *learned)
        self.scene.write(self.scene.closings, *closed)
        self.scene.write(self.scene.closings, closed[-1], partition=1)
        self.written += 1

    def versions(self, arm: str) -> list[tuple[str, str | None, int, int, str]]:
        """The versions of one undisturbed trainer."""
        trainer = Trainer(self.scene.plan, self.scene.project.learner(arm))
        published = [trainer.describe(trainer.checkpoint().header)]
        offset = 0
        every = iter(self._examples)
        for number in range(self.hours):
            for value in self.hour(number)[0]:
                if isinstance(value, int):
                    trainer.mark(offset, Mark(value), HOUR_MS)
                    published.append(trainer.describe(trainer.checkpoint().header))
                elif value != b"no example":
                    trainer.take(offset, next(every))
                else:
                    trainer.reach(offset + 1)
                offset += 1
        return [(v.version, v.parent, v.offset, v.examples, v.digest) for v in published]

    def epochs(self) -> list[Epoch]:
        """The epochs of one undisturbed trainer."""
        keeper, found = EpochKeeper(self.scene.router, self.scene.plan.hash, 2), []
        every, offset = iter(self._closings), 0
        for number in range(self.hours):
            for value in self.hour(number)[1]:
                if isinstance(value, int):
                    found += keeper.mark(0, offset, value)
                    found += keeper.mark(1, number, value)
                else:
                    found += keeper.take(0, offset, type(next(every)).model_validate_json(value))
                offset += 1
        return found

    @property
    def offset(self) -> int:
        """Next offset of the examples."""
        return self.written * (A_HOUR + 2)

    def await_end(self) -> None:
        self.scene.await_trained(self.offset)
        self.scene.await_epoch(self.epochs()[-1].epoch)


def assert_equals_an_undisturbed_trainer(course: Course) -> None:
    scene = course.scene
    pointers = scene.pointers.serving()
    for arm in scene.router.arms:
        expected = course.versions(arm)
        recorded = eventually(partial(scene.lineage, arm), f"all of {arm}", partial(_are, len(expected)))
        assert [(v.version, v.parent, v.offset, v.examples, v.digest) for v in recorded] == expected
        named = scene.state().models[arm].kept
        assert pointers[arm].version == expected[-1][0] == named[-1].version
        assert [one.artifact for one in named] == [v.artifact for v in recorded][-len(named) :]
        assert all(scene.store.has(arm, one.version, one.artifact) for one in named)
        assert scene.newest(arm).header.version == expected[-1][0]
    epochs = course.epochs()
    assert [Epoch.model_validate_json(raw) for raw in scene.read(scene.epochs)] == epochs
    assert scene.pointers.read(scene.router).epoch == epochs[-1]
    refused = [DeadLetter.model_validate_json(raw) for raw in scene.read(scene.plan.topics.dead_letters)]
    offsets = [number * (A_HOUR + 2) + A_HOUR for number in range(course.hours)]
    assert [letter.offset for letter in refused] == offsets


def _are(count: int, found: list[Any]) -> bool:
    return len(found) == count


FIRST = ("between the file and the record", "inside a transaction, before its end")
EARLY, LATE = 4, 9  # at which passage
OTHERS = [pytest.param(seam, EARLY, marks=pytest.mark.faults) for seam in SEAMS if seam not in FIRST]
SECOND = [pytest.param(seam, LATE, marks=pytest.mark.faults) for seam in SEAMS]


@pytest.mark.parametrize(("seam", "after"), [*((seam, LATE - 1) for seam in FIRST), *OTHERS, *SECOND])
def test_paused_at_a_seam(scene: Scene, start: Started, seam: str, after: int) -> None:
    course = Course(scene)
    paused = start("pausing_trainer", seam=seam, after=after)
    paused.wait_until(lambda: "is the owner" in paused.last_lines(50) or paused.is_paused, 180)
    with PointerWatch(scene) as watch:

        def is_stopped() -> bool:
            if course.written < course.hours - 2:
                course.write_hour()
                paused.wait_until(lambda: paused.is_paused or scene.has_trained(course.offset), 180)
            return paused.is_paused

        eventually(is_stopped, "the trainer to stop itself")
        other = start()
        other.wait_until(lambda: "this trainer is the owner" in other.last_lines(50), 180)
        course.write_hour()
        paused.wake()
        while course.written < course.hours:
            course.write_hour()
        eventually(lambda: "given" in paused.last_lines(500), "the paused trainer to learn of it")
        course.await_end()
    assert_equals_an_undisturbed_trainer(course)
    assert watch.went_back == []
    assert watch.samples


def test_two_trainers_started_by_mistake(scene: Scene, start: Started) -> None:
    course = Course(scene)
    trainers = [start(session_timeout_ms=10_000), start(session_timeout_ms=10_000)]
    with PointerWatch(scene) as watch:
        while course.written < course.hours:
            course.write_hour()
        course.await_end()
    assert_equals_an_undisturbed_trainer(course)
    assert watch.went_back == []
    eventually(
        lambda: [trainer.last_lines(50) for trainer in trainers],
        "one owner and one that stands by",
        lambda told: sorted("standing by" in text for text in told) == [False, True],
    )


@pytest.mark.faults
def test_paused_and_killed_at_random_moments(scene: Scene, start: Started) -> None:
    rng = random.Random(31)
    course = Course(scene, 60)
    trainers = [start(), start()]
    with PointerWatch(scene) as watch:
        while course.written < course.hours:
            victim = rng.choice(trainers)
            course.write_hour()
            victim.pause()
            for _ in range(rng.randrange(3)):
                if course.written < course.hours:
                    course.write_hour()
            until_some_moment(rng, 4)
            victim.wake()
            if rng.random() < 0.3:
                victim.kill()
                trainers[trainers.index(victim)] = start()
        course.await_end()
    assert_equals_an_undisturbed_trainer(course)
    assert watch.went_back == []
