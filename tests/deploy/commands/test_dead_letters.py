"""Reading a topic of dead letters that anyone may have written to."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest

from headrace.deploy.commands.dead_letters import BEGUN, DeadLetterLog, Selection, to_json, to_table
from headrace.deploy.local.mock_kafka import MockKafka
from headrace.schemas.dead_letter import DeadLetter
from headrace.streams.log.records import LogRecord
from tests.support.ordered_producer import ordered_producer
from tests.support.waiting import PATIENCE_S

GOOD = DeadLetter.of_record("clicks", 0, LogRecord(5, 7, b"k", b"v", [("h", b"x")]), "invalid", "no")


@pytest.fixture
def broker(project: str) -> Iterator[MockKafka]:
    broker = MockKafka({project: 1})
    yield broker
    broker.close()


def changed(**fields: object) -> bytes:
    return json.dumps(json.loads(GOOD.to_bytes()) | fields).encode()


def test_what_is_no_dead_letter_is_left_out_and_told_of(
    broker: MockKafka, project: str, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = [b"", b"{", b"\xff", changed(kind="x"), changed(of_a_newer="one"), changed(value="a"),
               changed(headers=[["h", "a"]]), changed(**{"\x1b[2J": 1})]  # fmt: skip
    producer = ordered_producer(broker.bootstrap)
    for value in (*damaged, GOOD.to_bytes()):
        producer.produce(project, value, partition=0)
    producer.produce(project, None, GOOD.id, 0, headers=[(BEGUN, b"9" * 5000)])
    assert producer.flush(PATIENCE_S) == 0
    with caplog.at_level(logging.WARNING):
        (found,) = DeadLetterLog(broker.bootstrap, project).find(Selection(None, None, None, None, None))
    assert (found.dead_letter, found.begun) == (GOOD, None)
    assert "clicks" in to_table([found])
    for at_ms in (-(2**63), -1, 2**63 - 1):  # of a topic where producers give the time
        assert "clicks" in to_table([replace(found, at_ms=at_ms)])
    assert json.loads(to_json(found))["reason"] == "no"
    (told,) = caplog.messages
    assert told.startswith(
        f"{len(damaged)} records are no dead letters and left out, the first {project}[0]@0"
    )
