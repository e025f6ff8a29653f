from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import redis

from headrace.deploy.commands.offsets import end_offsets
from headrace.deploy.local.kafka_server import KafkaServer, broker_jars
from headrace.deploy.local.mock_kafka import MockKafka
from headrace.deploy.local.redis_server import RedisServer
from headrace.deploy.local.registry_server import registry_jars
from headrace.schemas.errors import ServiceUnavailable, UnknownNameError
from headrace.streams.log.reader import read_log
from tests.support.ordered_producer import ordered_producer
from tests.support.paths import ROOT


def produce(bootstrap: str, topic: str, values: list[bytes]) -> None:
    producer = ordered_producer(bootstrap, {"log_level": 0})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(20) == 0


@pytest.mark.kafka
def test_kafka_keeps_its_records_over_kill_and_restart_and_for_another_in_its_directory(
    tmp_path: Path,
) -> None:
    with KafkaServer(tmp_path, cache=ROOT / ".cache" / "kafka") as first:
        address = first.bootstrap
        produce(address, "events", [b"a", b"b"])
        first.kill()
        first.restart()
        assert first.bootstrap == address
        produce(address, "events", [b"c"])
        assert end_offsets(address, ["events"]) == {("events", 0): 3}
    with KafkaServer(tmp_path, cache=ROOT / ".cache" / "kafka") as second:
        assert second.bootstrap == address
        assert [message.value() for message in read_log(address, "events", 0)] == [b"a", b"b", b"c"]


def test_without_maven_or_java_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceUnavailable, match=r"'mvn' is not on the PATH.*install Maven"):
        broker_jars(tmp_path)
    with pytest.raises(ServiceUnavailable, match=r"'java' is not on the PATH.*install Java"):
        KafkaServer(tmp_path).start()
    with pytest.raises(ServiceUnavailable, match=r"'mvn' is not on the PATH, and Apicurio Registry needs it"):
        registry_jars(tmp_path)


def test_a_persistent_redis_keeps_its_data_and_another_does_not(tmp_path: Path) -> None:
    for persistent, kept in ((True, b"1"), (False, None)):
        with RedisServer(tmp_path / str(persistent), persistent) as server:
            redis.Redis.from_url(server.url).set("key", "1")
            server.restart()
            assert redis.Redis.from_url(server.url).get("key") == kept


def test_a_redis_that_cannot_start_is_reported_with_its_log(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "first") as first:
        second = RedisServer(tmp_path / "second")
        second._port = first._port
        with pytest.raises(ServiceUnavailable, match=r"Redis ended with exit code 1[\s\S]*in use"):
            second.start()


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
    assert process.wait(60) == 0
    process.stdout.close()
