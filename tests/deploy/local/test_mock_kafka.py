"""librdkafka's built-in broker, within a process and as one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from headrace.deploy.local.mock_kafka import MockKafka
from headrace.schemas.errors import ServiceUnavailable, UnknownNameError
from headrace.streams.connections.kafka_admin import end_offsets
from headrace.streams.log.reader import read_log
from tests.support.ordered_producer import produce
from tests.support.paths import ROOT
from tests.support.waiting import PATIENCE_S


def test_the_built_in_broker_makes_topics_with_the_partitions_asked_for() -> None:
    broker = MockKafka({"one": 1, "seven": 7})
    try:
        produce(broker.bootstrap, "one", [b"x", b"y"])
        assert sum(end_offsets(broker.bootstrap, ["one", "seven"]).values()) == 2
        assert len(end_offsets(broker.bootstrap, ["seven"])) == 7
        assert [message.value() for message in read_log(broker.bootstrap, "one", 0)] == [b"x", b"y"]
        with pytest.raises(ServiceUnavailable, match="topic 'one' with 2 partitions"):
            broker.create_topic("one", 2)
        with pytest.raises(UnknownNameError, match="did you mean 'seven'"):
            end_offsets(broker.bootstrap, ["sevn"])
    finally:
        broker.close()


def test_the_built_in_broker_as_a_process_tells_its_address_and_stops_when_asked() -> None:
    command = [sys.executable, "-m", "headrace.deploy.local.mock_kafka", "--topic", "events=2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert end_offsets(address, ["events"]) == {("events", 0): 0, ("events", 1): 0}
    process.terminate()
    assert process.wait(PATIENCE_S) == 0
    process.stdout.close()
