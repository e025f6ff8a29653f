"""A broker of Apache Kafka on this machine, and what is said where it cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.deploy.local.kafka_server import KafkaServer, broker_jars
from headrace.deploy.local.registry_server import registry_jars
from headrace.schemas.errors import ServiceUnavailable
from headrace.streams.connections.kafka_admin import KafkaAdmin, end_offsets
from headrace.streams.log.reader import read_log
from tests.support.ordered_producer import produce
from tests.support.paths import ROOT


@pytest.mark.faults
@pytest.mark.usefixtures("servers")
def test_kafka_keeps_its_records_over_a_kill_for_another_in_its_directory(
    tmp_path: Path,
) -> None:
    with KafkaServer(tmp_path, cache=ROOT / ".cache" / "kafka") as first:
        address = first.bootstrap
        produce(address, "events", [b"a", b"b"])
        admin = KafkaAdmin(address)
        assert admin.end_offsets([("events", 0)]) == {("events", 0): 2}
        first.kill()
    with KafkaServer(tmp_path, cache=ROOT / ".cache" / "kafka") as second:
        assert second.bootstrap == address
        produce(address, "events", [b"c"])
        assert end_offsets(address, ["events"]) == {("events", 0): 3}
        # What it knew of the leader is of before.
        assert admin.end_offsets([("events", 0)]) == {("events", 0): 3}
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
