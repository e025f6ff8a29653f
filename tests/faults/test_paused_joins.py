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

from headrace.schemas.avro import encode_confluent
from headrace.schemas.marks import mark_headers, read_mark
from headrace.schemas.order_marks import read_order
from headrace.schemas.records import Outcome
from headrace.streams.log.partitioner import partition_for
from headrace.streams.progress import ProgressStore
from tests.support.forked_child import ForkedChild
from tests.support.join_oracle import M, O, P
from tests.support.join_scene import (
    PARTITIONS,
    PUBLISH,
    SCHEMA,
    Loop,
    a_log,
    a_plan,
    assert_joined_like_the_oracle,
)
from tests.support.logged_order import assert_in_the_order_of_the_logs
from tests.support.pausing_join import INTAKE_SEAMS, SEAMS
from tests.support.waiting import eventually, until_some_moment

SESSION = {"instance_id": "", "session_timeout_ms": 1500}
Started = Callable[..., ForkedChild]


@pytest.fixture
def run(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Loop:
    return Loop(a_plan(project, "first", "negative"), kafka_bootstrap, redis_url, tmp_path)


@pytest.fixture
def start(run: Loop) -> Iterator[Started]:
    """Starts a further join of the group."""
    started: list[ForkedChild] = []

    def start_join(program: str = "join_process", **config: Any) -> ForkedChild:
        join = run.make_join(f"join-{len(started)}", program, **SESSION, **config)
        started.append(join)
        join.start()
        return join

    yield start_join
    for join in started:
        join.kill()


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
    assert_joined_like_the_oracle(run, log)
    assert_in_the_order_of_the_logs(run, "first")
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
    assert_joined_like_the_oracle(run, log)
    assert_in_the_order_of_the_logs(run, "first")
    assert_marks_tell_of_every_partition(run, log)


def send_flight(run: Loop, number: int) -> None:
    """A prediction and the event with its outcome; with every tenth, marks in all partitions of both."""
    topic, ts_ms = run.plan.sources[0].topic, 10 * number
    run.send_event(P(f"p{number}", f"k{number}", ts_ms))
    label = None if number % 7 == 0 else number % 3 == 0
    event = {"flight": f"k{number}", "late": label, "at": ts_ms + 5}
    value = encode_confluent(SCHEMA, 1, event)
    run.send(topic, number % PARTITIONS, value, timestamp=ts_ms + 5)
    if number % 10 == 9:
        run.send_event(M("predictions", ts_ms))
        for partition in range(PARTITIONS):
            run.send(topic, partition, None, mark_headers(ts_ms + 5), timestamp=ts_ms + 5)
    run.producer.flush()


def assert_outcomes_are_those_of_the_events(run: Loop, flights: int) -> None:
    """Each once, those of an event partition in its order, each mark behind the outcomes before it."""
    for target in range(PARTITIONS):
        found: dict[int, list[tuple[int, str]]] = {}
        for message in run.read(run.names["outcomes"], target):
            if (mark := read_mark(message.headers())) is not None:
                found.setdefault(mark.partition or 0, []).append((mark.time_ms, "mark"))
            elif read_order(message.headers()) is None:
                outcome = Outcome.model_validate_json(message.value())
                partition = int(outcome.outcome_id.split("/")[1])
                found.setdefault(partition, []).append((outcome.ts_ms, outcome.key))
        for partition in range(PARTITIONS):
            expected = []
            for number in range(flights):
                key = f"k{number}"
                mine = number % PARTITIONS == partition and number % 7 != 0
                if mine and partition_for(key.encode(), PARTITIONS) == target:
                    expected.append((10 * number + 5, key))
                if number % 10 == 9:
                    expected.append((10 * number + 5, "mark"))
            assert found[partition] == expected


FIRST_OF_INTAKE = "between outcomes and their mark"
OTHERS_OF_INTAKE = [
    pytest.param(seam, marks=pytest.mark.faults) for seam in INTAKE_SEAMS if seam != FIRST_OF_INTAKE
]


@pytest.mark.parametrize("seam", [FIRST_OF_INTAKE, *OTHERS_OF_INTAKE])
def test_paused_while_outcomes_come_out_of_events(run: Loop, start: Started, seam: str) -> None:
    flights = 200
    left = iter(range(flights))
    topic = run.plan.sources[0].topic
    paused = start("pausing_join", seam=seam, after=5)

    def is_stopped() -> bool:
        for number in islice(left, 1):
            send_flight(run, number)
        return paused.is_paused

    eventually(is_stopped, "the join to stop itself")
    other = start()
    run.seen = run.store.read()
    for number in islice(left, 10):
        send_flight(run, number)
    other.wait_until(lambda: run.store.read() != run.seen, 180)
    third = start()  # so that two share the event topic
    paused.wake()
    for number in left:
        send_flight(run, number)
    ends = run.sent[topic]
    other.wait_until(lambda: _has_read(run, topic, ends), 180)
    run.join = third
    run.wait(("predictions",))
    ProgressStore(run.redis, run.plan).wait(topic, ends, until="examples", timeout_s=180)
    assert_outcomes_are_those_of_the_events(run, flights)
    assert_in_the_order_of_the_logs(run, "first")


def _has_read(run: Loop, topic: str, ends: dict[int, int]) -> bool:
    progress = run.store.read()
    reached = {partition: progress.get(("outcomes", topic, partition, "delays")) for partition in ends}
    return all(one is not None and one.next_offset >= ends[partition] for partition, one in reached.items())
