"""Everything at once, under load: workers, joins and trainers killed and paused, servers that come and go.

What holds at the end holds while it runs: each row that a reader is given is the oracle's of the prefix that
it names, and no number, row, pointer or epoch ever goes back. A hundred rounds: `make test-faults`.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from headrace.deploy.local.kafka_server import KafkaServer
from headrace.deploy.local.redis_server import RedisServer
from headrace.schemas.errors import ProgressTimeout
from tests.support.advance_watch import AdvanceWatch
from tests.support.crew import Crew
from tests.support.join_oracle import M, O, P
from tests.support.join_scene import Loop, a_log, a_plan, assert_joined_like_the_oracle
from tests.support.nursery import Forked
from tests.support.output_watch import OutputWatch
from tests.support.paths import ROOT
from tests.support.pointer_watch import PointerWatch
from tests.support.sampled_rows import SampledRows
from tests.support.train_scene import Scene as TrainScene
from tests.support.trainers import Trainers
from tests.support.training_course import Course, assert_equals_an_undisturbed_trainer
from tests.support.waiting import eventually, until_some_moment
from tests.support.worker_scene import Load, Scene

LONGEST_PAUSE_S = 20
EVENTS_A_SECOND = 300  # of the workers' topic
PREDICTIONS_A_ROUND = 60
TRAINED_HOURS_A_ROUND = 2
SESSION = {"instance_id": "", "session_timeout_ms": 1500, "archive": None}


class Stage:
    """Projects of workers, of joins and of trainers on servers of their own, and what can be done to them."""

    def __init__(
        self, project: str, folder: Path, kafka: KafkaServer, redis: RedisServer, trained_hours: int
    ) -> None:
        self.kafka, self.redis = kafka, redis
        # A broker that starts forgets idempotent producers whose records are old: the events are of today.
        self.scene = Scene(kafka.bootstrap, redis.url, project, folder, start_ms=time.time_ns() // 1_000_000)
        plan = a_plan(f"{project}-join", "first", "negative")
        self.run = Loop(plan, kafka.bootstrap, redis.url, folder / "join")
        training = TrainScene(kafka.bootstrap, redis.url, f"{project}-train", folder / "train")
        self.course, self.trainers = Course(training, trained_hours), Trainers(training)
        self.crews = [
            Crew("worker", 3, self.scene.start_worker),
            Crew("join", 2, self._start_join),
            Crew("trainer", 2, lambda: self.trainers.start().forked),
        ]
        self._joins = 0

    def _start_join(self) -> Forked:
        self._joins += 1
        join = self.run.make_join(f"join-{self._joins}", **SESSION)
        join.start()
        return join.forked

    def keep(self) -> None:
        for crew in self.crews:
            crew.keep()

    def fault(self, rng: random.Random) -> None:
        """Kill or pause a process, or take a server away for a while."""
        draw = rng.random()
        crew = rng.choice(self.crews)
        if draw < 0.35:
            crew.kill_one(rng)
        elif draw < 0.8:
            crew.pause_one(rng, LONGEST_PAUSE_S)
        else:
            server: KafkaServer | RedisServer = self.kafka if draw < 0.9 else self.redis
            (server.kill if rng.random() < 0.5 else server.stop)()
            until_some_moment(rng, 3)
            server.start()

    def settle(self) -> None:
        """Wait until everything that was sent has come out, with everyone awake."""
        for crew in self.crews:
            crew.wake_all()
        self.run.producer.flush()
        try:
            eventually(self._unsettled, "all that was sent to have come out", lambda behind: not behind)
        except AssertionError:
            for crew in self.crews:
                crew.tell()
            raise

    def _unsettled(self) -> list[str]:
        """What has not come out yet."""
        self.keep()
        out = {
            "rows": self._is_visible(),
            "examples and closings": self.run.is_joined(),
            "models": self.course.is_trained(),
        }
        return [name for name, is_out in out.items() if not is_out]

    def _is_visible(self) -> bool:
        prefix = {partition: len(log) for partition, log in enumerate(self.scene.logs)}
        topic = self.scene.plan.sources[0].topic
        try:
            self.scene.progress.wait(topic, prefix, timeout_s=1)
        except ProgressTimeout:
            return False
        return True

    def stop(self) -> None:
        for crew in self.crews:
            crew.stop()


@pytest.fixture
def stage(servers: None, project: str, tmp_path: Path, rounds: int) -> Iterator[Stage]:
    for name in ("join", "train"):
        (tmp_path / name).mkdir()
    with (
        KafkaServer(tmp_path / "kafka", cache=ROOT / ".cache" / "kafka") as kafka,
        RedisServer(tmp_path / "redis", persistent=True) as redis,
    ):
        made = Stage(project, tmp_path, kafka, redis, TRAINED_HOURS_A_ROUND * rounds)
        try:
            yield made
        finally:
            made.stop()


@contextlib.contextmanager
def load(items: Sequence[Any], send: Callable[[Any], None], within_s: float) -> Iterator[None]:
    """Send items one by one, spread over a time; the rest at once when the block ends."""
    ending = threading.Event()

    def send_all() -> None:
        for item in items:
            ending.wait(within_s / len(items))
            send(item)

    thread = threading.Thread(target=send_all)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def assert_equal_to_the_oracles(stage: Stage, log: list[P | O | M]) -> None:
    stage.scene.assert_equals_oracle()
    stage.scene.assert_counts_equal_oracle()
    assert_joined_like_the_oracle(stage.run, log)
    assert_equals_an_undisturbed_trainer(stage.course)


@pytest.mark.parametrize("rounds", [1, pytest.param(100, marks=pytest.mark.faults)])
def test_everything_fails_under_load(stage: Stage, rounds: int) -> None:
    rng, scene, run, course = random.Random(31), stage.scene, stage.run, stage.course
    log = a_log(PREDICTIONS_A_ROUND * rounds, seed=32)
    rows = SampledRows(scene, seed=33)
    numbers = [AdvanceWatch(scene.redis_url, plan.project) for plan in (scene.plan, run.plan)]
    outputs, pointers = OutputWatch(run), PointerWatch(course.scene)
    hours, within_s = range(course.hours), 7.0 * rounds
    stage.keep()
    with rows, numbers[0], numbers[1], outputs, pointers:
        with (
            Load(scene, rng, EVENTS_A_SECOND),
            load(log, run.send_event, within_s),
            load(hours, lambda _: course.write_hour(), within_s),
        ):
            scene.wait_for_motion()
            for _ in range(rounds):
                stage.keep()
                stage.fault(rng)
                until_some_moment(rng, 6)
        stage.settle()
    assert_equal_to_the_oracles(stage, log)
    rows.assert_right()
    assert [watch.went_back for watch in (*numbers, pointers)] == [[], [], []]
    assert all(watch.samples for watch in (*numbers, pointers))
    print(f"{rounds} rounds; {rows.answers:,} rows read, {sum(watch.samples for watch in numbers):,} numbers")
    print(
        "ended by themselves:",
        *(f"{crew.name} {end.exit_code}" for crew in stage.crews for end in crew.ended),
    )
    outputs.assert_is_the_log()
