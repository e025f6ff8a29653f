"""Marks of partitions: whoever reads them in any order of the partitions takes the same least."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.marks import Mark, PartitionClocks, mark_headers, mark_time_ms, read_mark

TIMES = st.lists(st.integers(0, 100), max_size=6)


@given(st.lists(TIMES, min_size=1, max_size=4), st.integers(0, 1000))
def test_the_least_is_that_of_the_partitions_whoever_sent_their_marks_and_when(
    times: list[list[int]], seed: int
) -> None:
    chance, clocks = random.Random(seed), PartitionClocks()
    left = [list(partition) for partition in times]
    seen: dict[int, int] = {}
    while any(left):
        partition = chance.choice([n for n, marks in enumerate(left) if marks])
        time_ms = left[partition].pop(0)
        seen[partition] = max(time_ms, seen.get(partition, time_ms))
        least_ms = clocks.advance(Mark(time_ms, partition, len(times)))
        assert least_ms == (min(seen.values()) if len(seen) == len(times) else None)
        clocks = PartitionClocks(json.loads(json.dumps(clocks.encode())))
    assert clocks.least_ms == (min(map(max, times)) if all(times) else None)


@given(st.lists(st.tuples(st.integers(0, 100), st.sampled_from([None, 0, 1, 2, 3]), st.sampled_from([2, 4]))))
def test_it_never_goes_back_even_when_partitions_are_added(marks: list[tuple[int, int | None, int]]) -> None:
    clocks, before = PartitionClocks(), None
    for time_ms, partition, partitions in marks:
        if partition is not None and partition >= partitions:
            continue
        least_ms = clocks.advance(Mark(time_ms, partition, partitions))
        assert before is None or (least_ms is not None and least_ms >= before)
        before = least_ms


@pytest.mark.parametrize("mark", [Mark(7), Mark(7, 0, 1), Mark(7, 2, 12)])
def test_headers_are_read_as_they_were_written(mark: Mark) -> None:
    headers = mark_headers(mark.time_ms, mark.partition, mark.partitions)
    assert read_mark(headers) == mark
    assert mark_time_ms(headers) == 7


@pytest.mark.parametrize("told", [b"2", b"2/2", b"-1/2", b"a/b", b"1/2/3"])
def test_a_partition_that_there_cannot_be_makes_no_mark(told: bytes) -> None:
    assert read_mark([("headrace.time_ms", b"7"), ("headrace.partition", told)]) is None
