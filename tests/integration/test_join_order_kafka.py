"""Joins that start with backlogs of every kind, on real Kafka: the order of examples is that of the logs."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.streams.log.partitioner import partition_for
from tests.support.join_oracle import M, O, P
from tests.support.join_scene import PARTITIONS, Loop, a_log, a_plan
from tests.support.logged_order import assert_in_the_order_of_the_logs, examples_of

Event = P | O | M
Send = Callable[[Loop, list[Event]], None]


def of(log: list[Event], source: str) -> list[Event]:
    kind = P if source == "predictions" else O
    return [one for one in log if isinstance(one, kind) or (isinstance(one, M) and one.source == source)]


def send(run: Loop, events: list[Event]) -> None:
    for event in events:
        run.send_event(event)
    run.producer.flush()


def one_first(first: str, second: str) -> Send:
    def in_turn(run: Loop, log: list[Event]) -> None:
        send(run, of(log, first))
        run.join.start()
        run.wait((first,))
        send(run, of(log, second))

    return in_turn


def both_before_the_start(run: Loop, log: list[Event]) -> None:
    send(run, log)
    run.join.start()


def one_far_ahead(run: Loop, log: list[Event]) -> None:
    send(run, of(log, "predictions"))
    run.join.start()
    run.send_slowly(of(log, "outcomes"))


def one_partition_far_ahead(run: Loop, log: list[Event]) -> None:
    run.join.start()
    ahead = [one for one in log if not isinstance(one, M) and partition_for(one.key.encode(), PARTITIONS)]
    send(run, ahead)
    run.wait_for_life()
    send(run, [one for one in log if one not in ahead])


def paused_and_resumed(run: Loop, log: list[Event]) -> None:
    run.join.start()
    run.send_slowly(log[:100])
    run.wait_for_life()
    run.join.pause()
    send(run, of(log[100:400], "outcomes"))
    send(run, of(log[100:400], "predictions"))
    run.join.wake()
    run.send_slowly(log[400:])


def killed_and_restarted(run: Loop, log: list[Event]) -> None:
    chance, share = random.Random(5), len(log) // 4 + 1
    for begin in range(0, len(log), share):
        run.join.start()
        part = log[begin : begin + share]
        cut = chance.randrange(len(part))
        run.send_slowly(part[:cut])
        run.wait_for_life()
        run.join.kill()
        send(run, part[cut:])
    run.join.start()


BACKLOGS: dict[str, Send] = {
    "only predictions": one_first("predictions", "outcomes"),
    "only outcomes": one_first("outcomes", "predictions"),
    "both": both_before_the_start,
    "one far ahead": one_far_ahead,
    "one partition far ahead": one_partition_far_ahead,
    "paused and resumed": paused_and_resumed,
    "killed and restarted": killed_and_restarted,
}


@pytest.fixture
def scene(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Any:
    """Makes runs whose joins are not started; each has topics of its own."""
    runs: list[Loop] = []

    def make(duplicates: str) -> Loop:
        folder = tmp_path / str(len(runs))
        folder.mkdir()
        plan = a_plan(f"{project}{len(runs)}", duplicates, "negative")
        runs.append(Loop(plan, kafka_bootstrap, redis_url, folder))
        return runs[-1]

    yield make
    for run in runs:
        run.join.kill()


@pytest.mark.parametrize("backlog", BACKLOGS)
def test_examples_stand_in_the_order_of_the_logs(scene: Callable[[str], Loop], backlog: str) -> None:
    run = scene("last")
    BACKLOGS[backlog](run, a_log(400, seed=31))
    run.settle()
    assert_in_the_order_of_the_logs(run, "last")


def test_a_join_that_catches_up_teaches_what_the_live_one_taught(scene: Callable[[str], Loop]) -> None:
    """The logs of a live join, order marks and all, before the start of others."""
    live = scene("sum")
    live.join.start()
    live.send_slowly(a_log(300, seed=32))
    live.settle()
    taught = [examples_of(live, partition) for partition in range(PARTITIONS)]
    assert all(taught)
    for disturb in (lambda _: None, _kill_now_and_then):
        late = scene("sum")
        for source in ("outcomes", "predictions"):
            for partition in range(PARTITIONS):
                for one in live.read(live.names[source], partition):
                    late.send(late.names[source], partition, one.value(), one.headers() or (), key=one.key())
        late.producer.flush()
        late.join.start()
        disturb(late)
        late.settle()
        assert [examples_of(late, partition) for partition in range(PARTITIONS)] == taught
        closings = [late.closings(partition) for partition in range(PARTITIONS)]
        assert closings == [live.closings(partition) for partition in range(PARTITIONS)]


def _kill_now_and_then(run: Loop) -> None:
    for _ in range(3):
        run.wait_for_life()
        run.join.kill()
        run.join.start()
        if run.is_joined():
            return


def test_an_input_that_is_far_ahead_is_read_to_its_end(scene: Callable[[str], Loop]) -> None:
    """More than a join holds of an input is there before the other has anything."""
    run, count = scene("first"), 6_000
    send(run, [P(f"p{n}", f"k{n}", 10 * n) for n in range(count)])
    run.join.start()
    run.wait(("predictions",))
    send(run, [O(f"o{n}", f"k{n}", 10 * count, 1.0) for n in range(count - 50, count)])
    run.settle()
    assert run.counts()["predictions"] == count
    assert len([one for one in run.examples() if one.label == 1.0]) == 50
