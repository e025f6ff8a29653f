"""Every process and command on a real Kafka with TLS and SASL: from an event to a model that learned."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from headrace import FeatureClient
from headrace.deploy.cli.main import app
from headrace.deploy.local.certificates import Authority
from headrace.deploy.local.tls_listener import MECHANISMS
from headrace.deploy.stack import LocalStack
from headrace.schemas.errors import ServiceUnavailable, SettingsError
from headrace.schemas.topics import RouterTopics
from headrace.streams.connections.kafka import client_config
from headrace.streams.connections.kafka_admin import refuse_wrong_access
from headrace.streams.connections.kafka_properties import read_kafka_properties
from headrace.streams.event_producer import EventProducer
from headrace.streams.log.reader import end_offset, read_log
from tests.support.clicks_project import NOON_MS, make_clicks_project, post
from tests.support.headrace_command import run_headrace
from tests.support.secure_kafka import PASSWORD, SecureKafka, secure_kafka
from tests.support.waiting import FETCH_WAIT_MS, PATIENCE_S

SOON_S = 60.0  # on a busy machine: starting Python and reading the definitions is most of it


@pytest.fixture(scope="module")
def kafka(servers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with secure_kafka(tmp_path_factory.mktemp("secure")) as running:
        yield running


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clicks_project(tmp_path_factory.mktemp("project"))


def a_stack(repo: Path, kafka: SecureKafka, file: Path) -> LocalStack:
    return LocalStack(
        repo, kafka.bootstrap, kafka_config=file, publish_every_s=0.1, fetch_wait_ms=FETCH_WAIT_MS
    )


@pytest.fixture(scope="module")
def stack(kafka: SecureKafka, repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    file = kafka.write(tmp_path_factory.mktemp("secret") / "kafka.properties")
    with a_stack(repo, kafka, file) as running:
        yield running


def headrace(stack: LocalStack, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run_headrace(words, stack.settings.project_dir, stack.settings.environment() | environment)


def send_what_is_no_click(stack: LocalStack) -> None:
    producer = Producer({**client_config(stack.kafka), "log_level": 0})
    producer.produce("clicks", b"no click at all", b"bob")
    assert producer.flush(PATIENCE_S) == 0


def test_an_event_becomes_a_feature_a_prediction_an_example_and_a_model(stack: LocalStack) -> None:
    with FeatureClient(stack.plan, stack.redis_url) as client:
        with EventProducer.from_plan(stack.kafka, stack.plan, "clicks") as producer:
            for price, late_ms in ((5, 0), (7, 60_000)):
                producer.send({"user": "ada", "event_ms": NOON_MS + late_ms, "price": price})
            client.wait("clicks", producer.flush(), timeout_s=PATIENCE_S)
        found = client.get_online_features("everything", [{"user": "ada"}]).to_dict()
        assert found["user_clicks__spent_1h"] == [12]
        answer = post(stack, "/v1/predict", {"entities": {"user": "ada"}, "ts_ms": NOON_MS + 120_000})
        label = {"prediction_id": answer["prediction_id"], "label": 1, "ts_ms": NOON_MS + 180_000}
        outcome = post(stack, "/v1/outcomes", label)
        for log in (answer["log"], outcome["log"]):
            client.wait(log["topic"], {log["partition"]: log["offset"] + 1}, "serve", PATIENCE_S)
    examples = read_log(stack.kafka, RouterTopics("clicks", "main").examples, 0)
    assert [json.loads(m.value())["label"] for m in examples if m.value() is not None] == [1]
    with urllib.request.urlopen(f"{stack.serve_url}/v1/arms", timeout=PATIENCE_S) as shown:
        arms = json.load(shown)["routers"][0]["arms"]
    learned = {arm["arm"]: arm["offset"] for arm in arms}
    end = end_offset(stack.kafka, stack.plan.topics.router("main").examples, 0)
    assert learned in [{"plain": n, "live": n} for n in range(1, end + 1)]  # marks and markers follow
    stack.check()
    send_what_is_no_click(stack)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["wait", "clicks"], "visible in features"),
        (["status"], "clicks"),
        (["healthy", "worker"], ""),
        (["apply"], "applied plan"),
        (["rebuild"], "current"),
        (["dead-letters", "list"], "malformed"),
        (["dead-letters", "replay", "--yes"], "sent 1 records"),
        (["audit"], "0 different"),
        (["backfill", "user_clicks", "--no-hand-over"], "done at"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_every_command_reaches_it(
    stack: LocalStack, command: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stack.settings.project_dir)
    done = CliRunner().invoke(app, command, env=stack.settings.environment())
    assert done.exit_code == 0, done.output
    assert says in done.output


@pytest.mark.parametrize("command", ["apply", "status", "worker", "join", "train", "serve"])
def test_a_wrong_password_ends_a_command_at_once(
    stack: LocalStack, kafka: SecureKafka, tmp_path: Path, command: str
) -> None:
    file = kafka.write(tmp_path / "wrong.properties", sasl_password="guessed-wrong")
    began_s = time.monotonic()
    done = headrace(stack, command, HEADRACE_KAFKA_CONFIG=str(file))
    assert time.monotonic() - began_s < SOON_S
    assert done.returncode == 2
    assert kafka.bootstrap in done.stderr
    assert "uthentication" in done.stderr
    assert "see sasl.mechanism, sasl.username and sasl.password" in done.stderr
    assert "Traceback" not in done.stderr
    assert "guessed-wrong" not in done.stderr + done.stdout


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_producer_is_let_in_by_its_account_alone(
    stack: LocalStack, kafka: SecureKafka, tmp_path: Path, mechanism: str
) -> None:
    good = kafka.access(kafka.write(tmp_path / "good.properties", mechanism))
    assert EventProducer.from_plan(good, stack.plan, "clicks").partition_count == 4
    wrong = kafka.access(kafka.write(tmp_path / "wrong.properties", mechanism, sasl_password="guessed"))
    with pytest.raises(ServiceUnavailable, match=r"uthentication.*sasl\.password"):
        _ = EventProducer.from_plan(wrong, stack.plan, "clicks").partition_count


def test_processes_go_on_when_their_tokens_end(kafka: SecureKafka, tmp_path: Path) -> None:
    repo = make_clicks_project(tmp_path)
    config = repo / "feature_store.yaml"
    config.write_text(config.read_text().replace("project: clicks", "project: tokens"))
    file = kafka.write_token(tmp_path / "token.properties")
    with (
        a_stack(repo, kafka, file) as stack,
        EventProducer.from_plan(stack.kafka, stack.plan, "clicks") as producer,
        FeatureClient(stack.plan, stack.redis_url) as client,
    ):

        def go_round(price: int, spent: int) -> None:
            producer.send({"user": "eve", "event_ms": NOON_MS, "price": price})
            client.wait("clicks", producer.flush(), timeout_s=PATIENCE_S)
            found = client.get_online_features("everything", [{"user": "eve"}]).to_dict()
            assert found["user_clicks__spent_1h"] == [spent]
            log = post(stack, "/v1/predict", {"entities": {"user": "eve"}, "ts_ms": NOON_MS + 1})["log"]
            client.wait(log["topic"], {log["partition"]: log["offset"] + 1}, "serve", PATIENCE_S)

        go_round(price=5, spent=5)
        kafka.tokens.wait_for_the_next()  # with a token a connection ends that does not show another
        go_round(price=7, spent=12)
        stack.check()


@pytest.mark.parametrize("command", ["status", "worker"])
def test_who_gets_no_token_is_told(
    stack: LocalStack, kafka: SecureKafka, tmp_path: Path, command: str
) -> None:
    file = kafka.write_token(tmp_path / "wrong.properties", sasl_oauthbearer_client_secret="guessed-wrong")
    done = headrace(stack, command, HEADRACE_KAFKA_CONFIG=str(file))
    assert done.returncode == 2
    assert kafka.bootstrap in done.stderr
    assert "invalid_client" in done.stderr
    assert "see sasl.oauthbearer.client.id and sasl.oauthbearer.client.secret" in done.stderr
    assert "guessed-wrong" not in done.stderr + done.stdout


def test_a_certificate_of_an_unknown_authority_is_told(
    stack: LocalStack, kafka: SecureKafka, tmp_path: Path
) -> None:
    unknown = kafka.access(kafka.write(tmp_path / "kafka.properties", ssl_ca_location=None))
    with pytest.raises(
        ServiceUnavailable, match=r"certificate.*see security\.protocol and ssl\.ca\.location"
    ):
        _ = EventProducer.from_plan(unknown, stack.plan, "clicks").partition_count


def test_a_client_certificate_lets_a_command_in(
    stack: LocalStack, kafka: SecureKafka, tmp_path: Path
) -> None:
    file = kafka.write_certified(tmp_path / "certified.properties")
    at = {"HEADRACE_KAFKA": kafka.certified_bootstrap, "HEADRACE_KAFKA_CONFIG": str(file)}
    done = headrace(stack, "status", **at)
    assert done.returncode == 0, done.stderr
    assert "clicks" in done.stdout


@pytest.mark.parametrize("whose", ["nobody's", "another authority's"])
def test_without_a_client_certificate_that_is_trusted_a_command_ends_at_once_and_says_what_is_missing(
    stack: LocalStack, kafka: SecureKafka, tmp_path: Path, whose: str
) -> None:
    shown = None if whose == "nobody's" else str(Authority(tmp_path).sign("client").with_key)
    other = {"ssl_certificate_location": shown, "ssl_key_location": shown}
    file = kafka.write_certified(tmp_path / "uncertified.properties", **other)
    began_s = time.monotonic()
    with pytest.raises(ServiceUnavailable, match=r"see ssl\.certificate\.location and ssl\.key\.location"):
        refuse_wrong_access(read_kafka_properties(file, kafka.certified_bootstrap), SOON_S)
    assert time.monotonic() - began_s < SOON_S / 2
    at = {"HEADRACE_KAFKA": kafka.certified_bootstrap, "HEADRACE_KAFKA_CONFIG": str(file)}
    done = headrace(stack, "status", **at)
    assert done.returncode == 2
    assert kafka.certified_bootstrap in done.stderr
    assert "see ssl.certificate.location and ssl.key.location" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_setting_the_error_names_it(
    stack: LocalStack, kafka: SecureKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.streams.log.kafka_producer.REQUEST_S", 2.0)
    with pytest.raises(ServiceUnavailable, match="HEADRACE_KAFKA_CONFIG has the TLS and SASL"):
        _ = EventProducer.from_plan(kafka.bootstrap, stack.plan, "clicks").partition_count


def test_no_secret_is_in_a_log(stack: LocalStack) -> None:
    logs = list((stack.data_dir / "logs").glob("*.log"))
    assert {"worker.log", "join.log", "train.log", "serve.log"} <= {log.name for log in logs}
    assert not [log.name for log in logs if PASSWORD in log.read_text()]
    assert PASSWORD not in repr(stack.settings) + stack.describe() + repr(stack.kafka)


def test_the_built_in_broker_is_no_place_for_it(repo: Path, tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"kafka\.properties: the built-in broker knows neither TLS nor SASL"
    ):
        LocalStack(repo, kafka_config=tmp_path / "kafka.properties")
