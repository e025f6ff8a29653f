"""Several joins, one of them paused past its session: what it does after that has no effect.

Some seams and few rounds run with all tests, the others in `make test-faults`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.support.join_oracle import M, O, P
from tests.support.join_scene import PARTITIONS, PUBLISH, ForkedJoin, Loop, a_log, a_plan, oracles
from tests.support.pausing_join import SEAMS
from tests.support.waiting import eventually, until_some_moment

SESSION = {"instance_id": "", "session_timeout_ms": 1500}
Started = Callable[..., ForkedJoin]


@pytest.fixture
def run(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Loop:
    return Loop(a_plan(project, "first", "negative"), kafka_bootstrap, redis_url, tmp_path)


@pytest.fixture
def start(run: Loop) -> Iterator[Started]:
    """Starts a further join of the group."""
    started: list[ForkedJoin] = []

    def start_join(program: str = "join_process", **config: Any) -> ForkedJoin:
        join = run.make_join(f"join-{len(started)}", program, **SESSION, **config)
        started.append(join)
        join.start()
        return join

    yield start_join
    for join in started:
        join.kill()


def assert_equals_the_oracle(run: Loop, log: list[P | O | M]) -> None:
    expected = oracles(log, "first", "negative")
    for partition, oracle in enumerate(expected):
        closings = [
            (c.prediction.prediction_id, c.status, c.label, c.label_ts_ms) for c in run.closings(partition)
        ]
        assert closings == oracle.closings
    examples = sorted((e.example_id, e.label, e.label_ts_ms) for e in run.examples())
    assert examples == sorted(row for oracle in expected for row in oracle.examples)
    counts = run.counts()
    totals = {name: sum(oracle.counts()[name] for oracle in expected) for name in expected[0].counts()}
    assert {name: counts[name] for name in totals} == totals


def assert_marks_tell_of_every_partition(run: Loop, log: list[P | O | M]) -> None:
    told = run.read_marks(run.names["examples"], 0)
    for partition in range(PARTITIONS):
        times = [mark.time_ms for mark in told if mark.partition == partition]
        assert times == sorted(times)
        assert len({time_ms // PUBLISH for time_ms in times}) == len(times)
        assert times[-1] == log[-1].ts


FIRST = ("between a batch and its transaction", "inside a transaction, before its end")
OTHERS = [pytest.param(seam, 5, marks=pytest.mark.faults) for seam in SEAMS if seam not in FIRST]
LATER = [pytest.param(seam, 12, marks=pytest.mark.faults) for seam in SEAMS]


@pytest.mark.parametrize(("seam", "after"), [*((seam, 5) for seam in FIRST), *OTHERS, *LATER])
def test_paused_at_a_seam(run: Loop, start: Started, seam: str, after: int) -> None:
    log = a_log(600, seed=21)
    events = iter(log)

    def send_some() -> None:
        run.send_slowly(list(islice(events, 10)))

    paused = start("pausing_join", seam=seam, after=after)

    def is_stopped() -> bool:
        send_some()
        return paused.is_paused

    eventually(is_stopped, "the join to stop itself")
    other = start()
    run.seen = run.store.read()
    send_some()
    other.wait_until(lambda: run.store.read() != run.seen, 180)
    paused.wake()
    eventually(lambda: "the group has given" in paused.last_lines(500), "the paused join to learn of it")
    for event in events:
        run.send_event(event)
    run.join = other
    run.wait()
    assert_equals_the_oracle(run, log)
    assert_marks_tell_of_every_partition(run, log)


@pytest.mark.parametrize("rounds", [3, pytest.param(40, marks=pytest.mark.faults)])
def test_paused_and_killed_at_random_moments(run: Loop, start: Started, rounds: int) -> None:
    rng = random.Random(22)
    log = a_log(150 * rounds, seed=23)
    share = len(log) // rounds + 1
    joins = [start(), start()]
    for begin in range(0, len(log), share):
        part = log[begin : begin + share]
        victim = rng.choice(joins)
        first, then = sorted(rng.sample(range(len(part)), 2))
        run.send_slowly(part[:first])
        victim.pause()
        run.send_slowly(part[first:then])
        until_some_moment(rng, 5)
        victim.wake()
        run.send_slowly(part[then:])
        if rng.random() < 0.5:
            victim.kill()
            joins[joins.index(victim)] = start()
    run.join = joins[0]
    run.wait()
    assert_equals_the_oracle(run, log)
    assert_marks_tell_of_every_partition(run, log)
