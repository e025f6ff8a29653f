"""Records as they come out of a log: the time of their appending, and headers that cannot be given."""

from __future__ import annotations

import time
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, Message

from headrace.streams.log.records import LogRecords, appended_ms, headers_of

YEAR_2100 = 4_102_444_800_000


def message(kind: int, at_ms: int) -> Message:
    return Message(topic="t", partition=0, offset=0, value=b"", timestamp=(kind, at_ms))


@pytest.mark.parametrize("at_ms", [-1, -2, YEAR_2100, 2**63 - 1])
def test_a_producer_cannot_have_appended_later_than_now(at_ms: int) -> None:
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


class Unreadable:
    """As the client is when the name of a header is not UTF-8."""

    def headers(self) -> Any:
        raise SystemError("returned a result with an exception set")


def test_headers_that_the_client_cannot_give_are_none() -> None:
    unreadable: Any = Unreadable()
    assert headers_of(unreadable) == []
