"""Records as they come out of a log: the time of their appending, and headers that cannot be given."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, Message
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.event_times import BROKER_AHEAD_MS, LATEST_MS
from headrace.streams.log.records import LogRecords, appended_ms, headers_of, trusted_times

YEAR_2100 = 4_102_444_800_000


def message(kind: int, at_ms: int) -> Message:
    return Message(topic="t", partition=0, offset=0, value=b"", timestamp=(kind, at_ms))


@pytest.mark.parametrize("at_ms", [-1, -2, YEAR_2100, 2**63 - 1])
def test_a_timestamp_far_ahead_or_none_is_that_of_the_reader(at_ms: int) -> None:
    before_ms = time.time_ns() // 1_000_000
    one = message(TIMESTAMP_CREATE_TIME, at_ms)
    found = [appended_ms(one), *LogRecords.of_messages([one]).appended.tolist()]
    assert all(before_ms <= each <= time.time_ns() // 1_000_000 for each in found)


@pytest.mark.parametrize(
    ("kind", "at_ms"), [(TIMESTAMP_CREATE_TIME, 1_000), (TIMESTAMP_LOG_APPEND_TIME, YEAR_2100)]
)
def test_the_time_of_a_broker_and_of_the_past_stays(kind: int, at_ms: int) -> None:
    one = message(kind, at_ms)
    assert [appended_ms(one), *LogRecords.of_messages([one]).appended.tolist()] == [at_ms, at_ms]


@given(
    appended_ms=st.integers(0, LATEST_MS),
    ahead_ms=st.integers(-LATEST_MS, BROKER_AHEAD_MS),
    read=st.lists(st.integers(-BROKER_AHEAD_MS, LATEST_MS), min_size=2, max_size=2),
)
def test_what_a_broker_has_let_in_is_the_same_at_every_reading(
    appended_ms: int, ahead_ms: int, read: list[int]
) -> None:
    """With `message.timestamp.after.max.ms`, and clocks that are behind the broker's by at most so much."""
    produced = np.array([max(0, appended_ms + ahead_ms)])
    first, again = (trusted_times(produced, appended_ms + later_ms) for later_ms in read)
    assert first.tolist() == again.tolist() == produced.tolist()


class Unreadable:
    """As the client is when the name of a header is not UTF-8."""

    def headers(self) -> Any:
        raise SystemError("returned a result with an exception set")


def test_headers_that_the_client_cannot_give_are_none() -> None:
    unreadable: Any = Unreadable()
    assert headers_of(unreadable) == []
