"""Everything at once, under load: workers and joins killed and paused, servers that go and come back.

What holds at the end holds while it runs: each row that a reader is given is the oracle's of the prefix that
it names, and no number and no row ever goes back. A hundred rounds: `make test-faults`.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

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
from tests.support.sampled_rows import SampledRows
from tests.support.waiting import eventually, until_some_moment
from tests.support.worker_scene import Load, Scene

LONGEST_PAUSE_S = 20
EVENTS_A_SECOND = 300  # of the workers' topic
PREDICTIONS_A_ROUND = 60
SESSION = {"instance_id": "", "session_timeout_ms": 1500, "archive": None}


class Stage:
    """A project of workers and one of joins on servers of their own, and what can be done to them."""

    def __init__(self, project: str, folder: Path, kafka: KafkaServer, redis: RedisServer) -> None:
        self.kafka, self.redis = kafka, redis
        # A broker that starts forgets idempotent producers whose records are old: the events are of today.
        self.scene = Scene(kafka.bootstrap, redis.url, project, folder, start_ms=time.time_ns() // 1_000_000)
        plan = a_plan(f"{project}-join", "first", "negative")
        self.run = Loop(plan, kafka.bootstrap, redis.url, folder / "join")
        self.crews = [
            Crew("worker", 3, self.scene.start_worker),
            Crew("join", 2, self._start_join),
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
        eventually(self._is_settled, "all that was sent to be in rows, examples and closings")

    def _is_settled(self) -> bool:
        self.keep()
        return self._is_visible() and self.run.is_joined()

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
def stage(servers: None, project: str, tmp_path: Path) -> Iterator[Stage]:
    (tmp_path / "join").mkdir()
    with (
        KafkaServer(tmp_path / "kafka", cache=ROOT / ".cache" / "kafka") as kafka,
        RedisServer(tmp_path / "redis", persistent=True) as redis,
    ):
        made = Stage(project, tmp_path, kafka, redis)
        try:
            yield made
        finally:
            made.stop()


@contextlib.contextmanager
def load(run: Loop, events: Sequence[P | O | M], within_s: float) -> Iterator[None]:
    """Send events one by one, spread over a time; the rest at once when the block ends."""
    ending = threading.Event()

    def send() -> None:
        for event in events:
            ending.wait(within_s / len(events))
            run.send_event(event)
        run.producer.flush()

    thread = threading.Thread(target=send)
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


@pytest.mark.parametrize("rounds", [3, pytest.param(100, marks=pytest.mark.faults)])
def test_everything_fails_under_load(stage: Stage, rounds: int) -> None:
    rng, scene, run = random.Random(31), stage.scene, stage.run
    log = a_log(PREDICTIONS_A_ROUND * rounds, seed=32)
    rows = SampledRows(scene, seed=33)
    numbers = [AdvanceWatch(scene.redis_url, plan.project) for plan in (scene.plan, run.plan)]
    outputs = OutputWatch(run)
    stage.keep()
    with rows, numbers[0], numbers[1], outputs:
        with Load(scene, rng, EVENTS_A_SECOND), load(run, log, within_s=7.0 * rounds):
            scene.wait_for_motion()
            for _ in range(rounds):
                stage.keep()
                stage.fault(rng)
                until_some_moment(rng, 6)
        stage.settle()
    assert_equal_to_the_oracles(stage, log)
    rows.assert_right()
    assert [watch.went_back for watch in numbers] == [[], []]
    assert all(watch.samples for watch in numbers)
    print(f"{rounds} rounds; {rows.answers:,} rows read, {sum(watch.samples for watch in numbers):,} numbers")
    print(
        "ended by themselves:",
        *(f"{crew.name} {end.exit_code}" for crew in stage.crews for end in crew.ended),
    )
    outputs.assert_is_the_log()
