from __future__ import annotations

import pytest

from headrace.streams.runtime.health import PartitionHealth, PlanHealth, ProcessHealth
from headrace.streams.runtime.restoring import Restoring
from headrace.streams.runtime.stalls import StallDetector

TOPIC = "clicks"

PLAN = PlanHealth("5e88")


def at(
    position: int | None,
    read: int = 0,
    waiting_for: str | None = None,
    age_s: float = 0.0,
    assigned: bool = True,
) -> ProcessHealth:
    one = PartitionHealth(TOPIC, 0, position, Restoring(read, 100))
    return ProcessHealth((one,), assigned, age_s, waiting_for, plan=PLAN)


def stalled_after(*looks: tuple[float, ProcessHealth, int]) -> list[bool]:
    stalls = StallDetector(10)
    return [bool(stalls.stalled(now_s, health, {(TOPIC, 0): end})) for now_s, health, end in looks]


def test_a_partition_stands_that_has_records_before_it_and_does_not_move() -> None:
    assert stalled_after((0, at(5), 9), (9, at(5), 9), (10, at(5), 12)) == [False, False, True]


def test_moving_having_nothing_to_do_and_waiting_begin_the_time_anew() -> None:
    assert stalled_after((0, at(5), 9), (9, at(6), 9), (18, at(6), 9), (19, at(6), 9)) == [False] * 3 + [True]
    assert stalled_after((0, at(5), 5), (50, at(5), 5), (51, at(5), 9)) == [False] * 3
    waiting = at(5, waiting_for="redis")
    assert stalled_after((0, at(5), 9), (50, waiting, 9), (90, waiting, 9), (99, at(5), 9)) == [False] * 4


def test_a_restore_moves_while_its_changelog_is_read() -> None:
    assert stalled_after((0, at(None, 1), 9), (9, at(None, 2), 9), (18, at(None, 2), 9)) == [False] * 3
    assert stalled_after((0, at(None, 1), 0), (10, at(None, 1), 0)) == [False, True]


def test_a_partition_that_came_back_begins_anew() -> None:
    stalls, ends = StallDetector(10), {(TOPIC, 0): 9}
    assert not stalls.stalled(0, at(5), ends)
    assert not stalls.stalled(8, ProcessHealth((), True, 0.0, plan=PLAN), ends)
    assert not stalls.stalled(12, at(5), ends)


def test_alive_is_who_finished_a_checkpoint_lately_or_waits() -> None:
    stalls = StallDetector(10)
    assert stalls.is_alive(50, at(5, age_s=9))
    assert not stalls.is_alive(50, at(5, age_s=10))
    assert stalls.is_alive(50, at(5, age_s=1000, waiting_for="redis"))


def test_what_was_waited_for_is_back_before_a_checkpoint_ends() -> None:
    stalls = StallDetector(10)
    stalls.stalled(50, at(5, age_s=1000, waiting_for="redis"), {})
    assert stalls.is_alive(59, at(5, age_s=1009))
    assert not stalls.is_alive(60, at(5, age_s=1010))


def test_ready_is_who_was_assigned_partitions_and_has_restored_all_of_them() -> None:
    assert not at(None).ready
    assert not at(5, assigned=False).ready
    assert at(5).ready
    assert ProcessHealth((), True, 0.0, plan=PLAN).ready  # more workers than partitions


@pytest.mark.parametrize(
    ("restoring", "share"),
    [(Restoring(), 0.0), (Restoring(0, 0), 1.0), (Restoring(25, 100), 0.25), (Restoring(120, 100), 1.0)],
)
def test_the_share_of_a_restore(restoring: Restoring, share: float) -> None:
    assert restoring.share == share
