"""The benchmark's oracle and Headrace's engine, without a broker, come to the same totals."""

from __future__ import annotations

import pytest

from benchmarks.streams.definition import COUNT, SUM, plan_for
from benchmarks.streams.outputs import differences
from benchmarks.streams.peers.job import Clock, Job, marks
from benchmarks.streams.workload import CLOSING_MS, PARTITIONS, WINDOWS, Totals, Window, Workload
from headrace.streams.log.records import LogRecord
from tests.support.stream_driver import StreamDriver

WORKLOAD = Workload(events=3000, keys=70, format="avro")


def headrace_totals(workload: Workload, window: Window) -> Totals:
    plan = plan_for(workload.topic, workload.format, window)
    logs: list[list[LogRecord]] = [[] for _ in range(PARTITIONS)]
    for partition, key, value in workload.log():
        logs[partition].append(LogRecord(len(logs[partition]), CLOSING_MS, key, value))
    driver = StreamDriver(plan, plan.sources[0], logs)
    driver.drain(most=97)
    assert not driver.rejected
    return {key[0]: (row[COUNT], row[SUM]) for (_, key), row in driver.online.items() if row[COUNT]}


@pytest.mark.parametrize("window", list(WINDOWS))
def test_the_engine_ends_at_the_last_complete_window(window: Window) -> None:
    expected = WORKLOAD.expected(window)
    assert 0 < sum(count for count, _ in expected.values()) < WORKLOAD.events
    assert differences(headrace_totals(WORKLOAD, window), expected) == ""


def test_a_log_is_the_same_whenever_it_is_made() -> None:
    again = Workload(WORKLOAD.events, WORKLOAD.keys, WORKLOAD.format)
    assert list(again.log()) == list(WORKLOAD.log())
    assert len(list(again.log())) == again.records


def test_a_wrong_total_is_told() -> None:
    expected = {1: (2, 0.5), 2: (1, 3.0)}
    assert differences({1: (2, 0.5 + 1e-12), 2: (1, 3.0), -1: (1, 0.0)}, expected) == ""
    assert differences({1: (3, 0.5), 2: (1, 3.0)}, expected).startswith(
        "1 of 2 accounts are wrong; account 1"
    )
    assert "account 2 has None" in differences({1: (2, 0.5)}, expected)


def test_marks_of_several_processes_are_taken_together(tmp_path) -> None:
    for number, (first, last) in enumerate([(10.0, 20.0), (11.0, 25.0)]):
        (tmp_path / f"first-{number}").write_text(str(first))
        (tmp_path / f"last-{number}").write_text(str(last))
    assert marks(tmp_path) == (10.0, 25.0)


def test_the_first_first_and_the_last_last_mark_count(tmp_path) -> None:
    names = {field: "" for field in Job.__dataclass_fields__}
    clock = Clock(Job(**(names | {"folder": str(tmp_path)})))
    for at in (1.0, 2.0):
        clock.first(at)
        clock.last(at)
    assert marks(tmp_path) == (1.0, 2.0)
