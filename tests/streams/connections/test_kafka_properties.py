from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from headrace.schemas.errors import ServiceUnavailable, SettingsError, UnknownNameError
from headrace.streams.connections.kafka import client_config
from headrace.streams.connections.kafka_admin import KafkaAdmin, partition_count, refuse_wrong_access
from headrace.streams.connections.kafka_properties import _RESERVED, read_kafka_properties

SERVERS = "127.0.0.1:9093"
GOOD = """# of the cluster
security.protocol = SASL_SSL

sasl.mechanism=SCRAM-SHA-512
sasl.username=app
sasl.password= s3cret==#x\t
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kafka.properties"


def told(file: Path, text: str) -> str:
    file.write_text(text)
    with pytest.raises(SettingsError) as raised:
        read_kafka_properties(file, SERVERS)
    assert "s3cret" not in str(raised.value)
    assert str(raised.value).startswith(str(file))
    return str(raised.value)


def test_properties_are_name_and_value_without_comments_and_spaces(file: Path) -> None:
    file.write_text(GOOD)
    assert client_config(read_kafka_properties(file, SERVERS)) == {
        "bootstrap.servers": SERVERS,
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "app",
        "sasl.password": "s3cret==#x",
    }


def test_an_address_alone_is_a_kafka_without_security() -> None:
    assert client_config(SERVERS) == {"bootstrap.servers": SERVERS}


def test_values_do_not_show_and_travel_to_other_processes(file: Path) -> None:
    file.write_text(GOOD)
    access = read_kafka_properties(file, SERVERS)
    assert "s3cret" not in f"{access} {access!r} {[access]}"
    assert "sasl.password" in repr(access)
    assert pickle.loads(pickle.dumps(access)) == access


def test_a_missing_file_is_told_with_the_setting(file: Path) -> None:
    with pytest.raises(SettingsError, match=r"kafka\.properties: No such file.*HEADRACE_KAFKA_CONFIG"):
        read_kafka_properties(file, SERVERS)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not UTF-8"):
        read_kafka_properties(file, SERVERS)


@pytest.mark.parametrize("line", ["s3cret", "=s3cret", ": s3cret"])
def test_a_line_that_is_no_property_is_told_by_its_number(file: Path, line: str) -> None:
    assert "line 3: no property. Write name=value" in told(file, f"# one\n\n{line}\n")


def test_a_property_librdkafka_does_not_know_is_told_with_the_nearest(file: Path) -> None:
    message = told(file, "security.protocol=SASL_SSL\nsasl.pasword=s3cret\n")
    assert "line 2: librdkafka knows no property 'sasl.pasword'; did you mean 'sasl.password'?" in message
    assert "line 1: librdkafka knows no property 'error_cb'" in told(file, "error_cb=s3cret\n")


def test_properties_of_java_are_told_with_what_there_is_instead(file: Path) -> None:
    jaas = "sasl.jaas.config=PlainLoginModule required password=s3cret;\n"
    assert "line 1: sasl.jaas.config=***: Java JAAS configuration is not supported" in told(file, jaas)
    assert "use `ssl.ca.location`" in told(file, "ssl.truststore.location=a.jks\n")


def test_a_value_that_cannot_be_is_told(file: Path) -> None:
    message = told(file, "# one\nsecurity.protocol=SASSL\n")
    assert "line 2: security.protocol='SASSL': Invalid value" in message


@pytest.mark.parametrize("name", sorted(_RESERVED))
def test_what_headrace_sets_itself_is_refused_with_the_reason(file: Path, name: str) -> None:
    assert f"line 1: Headrace sets '{name}' itself: {_RESERVED[name]}. Remove" in told(file, f"{name}=s3cret")


def test_a_property_that_stands_twice_is_refused(file: Path) -> None:
    message = told(file, "sasl.password=s3cret\nsasl.password=s3cret2\n")
    assert "line 2: 'sasl.password' stands in line 1 too" in message


def test_properties_that_do_not_go_together_are_told_with_their_lines(file: Path) -> None:
    message = told(file, "security.protocol=SSL\nssl.ca.location=/nowhere/ca.pem\n")
    assert "line 2: ssl.ca.location='/nowhere/ca.pem': ssl.ca.location failed" in message
    message = told(file, "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=s3cret\n")
    assert "line 3: sasl.username=***: sasl.username and sasl.password must be set" in message


def test_a_broker_that_is_not_there_is_told_with_its_address(free_port: int) -> None:
    with pytest.raises(ServiceUnavailable, match=rf"127\.0\.0\.1:{free_port}.*HEADRACE_KAFKA_CONFIG"):
        KafkaAdmin(f"127.0.0.1:{free_port}", 0.3).metadata()
    refuse_wrong_access({"bootstrap.servers": f"127.0.0.1:{free_port}"}, 0.3)  # it may come yet


def test_an_empty_file_adds_nothing(file: Path, kafka_bootstrap: str, project: str) -> None:
    file.write_text("")
    access = read_kafka_properties(file, kafka_bootstrap)
    assert client_config(access) == {"bootstrap.servers": kafka_bootstrap}
    with pytest.raises(UnknownNameError, match=f"topic not found: '{project}'"):
        partition_count(access, project)
