"""Several trainers, one of them paused past its session: what it does after that has no effect.

Some seams run with all tests, the others in `make test-faults`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.forked_child import ForkedChild
from tests.support.pausing_trainer import SEAMS
from tests.support.pointer_watch import PointerWatch
from tests.support.train_scene import Scene
from tests.support.trainers import Trainers
from tests.support.training_course import Course, assert_equals_an_undisturbed_trainer
from tests.support.waiting import eventually, until_some_moment

Started = Callable[..., ForkedChild]


@pytest.fixture
def scene(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Scene:
    return Scene(kafka_bootstrap, redis_url, project, tmp_path)


@pytest.fixture
def start(scene: Scene) -> Iterator[Started]:
    """Starts a further trainer of the group."""
    trainers = Trainers(scene)
    yield trainers.start
    trainers.stop()


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
