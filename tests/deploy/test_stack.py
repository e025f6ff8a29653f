"""The local stack as a whole: every process of a project, from an event to a model that learned from it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from headrace import FeatureClient
from headrace.deploy.local.child import Child
from headrace.deploy.stack import LocalStack
from headrace.schemas.avro import encode_confluent
from headrace.schemas.errors import ServiceUnavailable, SettingsError
from headrace.streams.connections.redis import redis_client
from headrace.streams.log.reader import end_offset, read_log
from headrace.streams.progress import ProcessRegistry
from tests.support.clicks_project import NOON_MS, make_clicks_project, post
from tests.support.headrace_command import run_headrace
from tests.support.waiting import PATIENCE_S, eventually


@pytest.fixture(scope="module")
def project_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clicks_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def stack(servers: None, project_dir: Path) -> Iterator[LocalStack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNRELATED_PASSWORD", "s3cret")
        patch.setenv("HEADRACE_MODEL_KEY", "a key of thirty-two characters..")
        with LocalStack(project_dir, publish_every_s=0.1) as running:
            yield running


def click(stack: LocalStack, user: str, price: int, time_ms: int) -> None:
    """Produce a click, and return once its effect can be read."""
    source = stack.plan.source("clicks")
    record = {"user": user, "event_ms": time_ms, "price": price}
    send(stack, user.encode(), encode_confluent(source.reader_schema, source.schema_id, record))


def send(stack: LocalStack, key: bytes, value: bytes) -> None:
    told: list[Any] = []
    producer = Producer({"bootstrap.servers": stack.bootstrap, "log_level": 0})
    producer.produce("clicks", value, key, on_delivery=lambda error, message: told.append(message))
    assert producer.flush(PATIENCE_S) == 0
    with FeatureClient(stack.plan, stack.redis_url) as client:
        client.wait("clicks", {told[0].partition(): told[0].offset() + 1}, timeout_s=PATIENCE_S)


def headrace(stack: LocalStack, *words: str) -> subprocess.CompletedProcess[str]:
    return run_headrace(words, stack.settings.project_dir, stack.settings.environment())


def test_an_event_becomes_a_feature_a_prediction_an_example_and_a_model(stack: LocalStack) -> None:
    click(stack, "ada", 5, NOON_MS)
    click(stack, "ada", 7, NOON_MS + 60_000)
    with FeatureClient(stack.plan, stack.redis_url) as client:
        found = client.get_online_features("everything", [{"user": "ada"}]).to_dict()
        assert found["user_clicks__spent_1h"] == [12]
        assert found["user_profile__age"] == [36]
        answer = post(stack, "/v1/predict", {"entities": {"user": "ada"}, "ts_ms": NOON_MS + 120_000})
        label = {"prediction_id": answer["prediction_id"], "label": 1, "ts_ms": NOON_MS + 180_000}
        outcome = post(stack, "/v1/outcomes", label)
        for log in (answer["log"], outcome["log"]):
            client.wait(log["topic"], {log["partition"]: log["offset"] + 1}, "serve", PATIENCE_S)
    with urllib.request.urlopen(f"{stack.serve_url}/v1/arms", timeout=PATIENCE_S) as shown:
        arms = json.load(shown)["routers"][0]["arms"]
    examples = read_log(stack.kafka, stack.plan.topics.router("main").examples, 0)
    assert [json.loads(m.value())["label"] for m in examples if m.value() is not None] == [1]
    learned = {arm["arm"]: arm["offset"] for arm in arms}
    end = end_offset(stack.kafka, stack.plan.topics.router("main").examples, 0)
    assert learned in [{"plain": n, "live": n} for n in range(1, end + 1)]  # marks and markers follow
    stack.check()


def test_the_commands_tell_what_runs(stack: LocalStack) -> None:
    click(stack, "bob", 3, NOON_MS)
    send(stack, b"bob", b"no click at all")
    waited = headrace(stack, "wait", "clicks")
    assert (waited.returncode, waited.stdout.startswith("visible in features: clicks")) == (0, True)
    shown = json.loads(headrace(stack, "status", "--json").stdout)
    features = next(s for s in shown["stages"] if (s["stage"], s["member"]) == ("features", "direct"))
    assert features["lag"] == 0
    counted = shown["intake"]["clicks"]
    assert counted["applied"] + counted["late"] + counted["dead"] == features["visible"]
    listed = headrace(stack, "dead-letters", "list")
    assert "malformed" in listed.stdout
    assert headrace(stack, "healthy", "worker").returncode == 0


def test_brokers_and_stores_have_none_of_the_secrets_of_the_stack(stack: LocalStack) -> None:
    names = {child.name: environment_of(child) for group in stack._supervisor._groups for child in group}
    assert {"kafka", "Redis", "worker", "join", "train", "serve"} <= names.keys()
    assert "PATH" in names["kafka"]
    for name in ("kafka", "Redis"):  # Redis writes its title over what it had
        assert "UNRELATED_PASSWORD" not in names[name]
        assert not [variable for variable in names[name] if variable.startswith("HEADRACE_")]
    for name in ("worker", "join"):
        assert "HEADRACE_PLAN_KEY" in names[name]
        assert "HEADRACE_MODEL_KEY" not in names[name]
    for name in ("worker", "serve"):  # they run users' code
        assert "UNRELATED_PASSWORD" in names[name]


def environment_of(child: Child) -> set[str]:
    """The names of the variables that a process was started with."""
    raw = Path(f"/proc/{child.pid}/environ").read_bytes()
    return {variable.partition(b"=")[0].decode() for variable in raw.split(b"\0") if variable}


def test_a_second_stack_on_the_same_data_directory_is_refused_and_leaves_it_alone(
    stack: LocalStack, project_dir: Path
) -> None:
    with pytest.raises(SettingsError, match=r"is in use by process \d+.*HEADRACE_DATA_DIR"):
        LocalStack(project_dir).start()
    stack.check()
    assert (stack.data_dir / "logs" / "worker.log").exists()


def test_waiting_for_what_does_not_come_says_who_is_behind(stack: LocalStack) -> None:
    told = headrace(stack, "wait", "clicks", "--prefix", "0=1000000", "--timeout", "0.1")
    assert told.returncode == 2
    assert told.stderr.startswith("headrace: not visible within 0.1 s: stage features (direct) has clicks[0]")
    assert "Traceback" not in told.stderr


def test_what_is_applied_is_told_as_a_plan_without_changes(stack: LocalStack) -> None:
    changes, *told = headrace(stack, "plan").stdout.splitlines()
    assert changes == "nothing would change"
    assert [line.split(":")[0] for line in told] == ["feature_store.yaml"]  # which names no Redis that runs


def test_a_process_that_dies_is_named_with_its_log_and_takes_the_stack_down(stack: LocalStack) -> None:
    """The last of this module's tests: nothing runs after it."""
    processes = {child.name: child for group in stack._supervisor._groups for child in group}
    processes["train"].kill()
    with pytest.raises(ServiceUnavailable, match=r"train ended with exit code -9; its log .*train\.log"):
        stack.watch()
    stack.stop()
    assert all(child.exit_code is not None for child in processes.values())


def test_a_data_directory_of_another_kafka_is_left_alone(tmp_path: Path, project_dir: Path) -> None:
    (tmp_path / "models").mkdir()
    with pytest.raises(SettingsError, match="HEADRACE_DATA_DIR"):
        LocalStack(project_dir, data_dir=tmp_path).start()
    assert (tmp_path / "models").exists()


@pytest.mark.usefixtures("servers")
def test_control_c_stops_the_command_and_all_it_started(project_dir: Path, tmp_path: Path) -> None:
    """A project without routers, for which a broker, Redis and a worker run."""
    folder = tmp_path / "clicks"
    shutil.copytree(project_dir, folder, ignore=shutil.ignore_patterns("learners.py", ".headrace"))
    up = subprocess.Popen(
        [sys.executable, "-P", "-m", "headrace", "up"],
        cwd=folder, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert up.stdout is not None
    assert up.stdout.readline().startswith("project 'clicks' runs")
    started = Path(f"/proc/{up.pid}/task/{up.pid}/children").read_text().split()
    assert len(started) == 3
    up.send_signal(signal.SIGINT)
    assert up.wait(PATIENCE_S) == 0
    up.stdout.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in started)


@pytest.mark.usefixtures("servers")
def test_processes_are_started_anew_by_the_plan_that_is_applied(project_dir: Path, tmp_path: Path) -> None:
    """A project without routers, so that only a worker runs."""
    folder = tmp_path / "clicks"
    shutil.copytree(project_dir, folder, ignore=shutil.ignore_patterns("learners.py", ".headrace"))
    with LocalStack(folder) as stack:
        before, ended = stack.plan, threading.Event()
        (worker,) = (
            child for group in stack._supervisor._groups for child in group if child.name == "worker"
        )
        first = worker.pid
        with (folder / "features.py").open("a") as file:
            file.write('\nmore = FeatureService(name="more", features=[user_clicks])\n')
        told = headrace(stack, "apply")
        assert told.returncode == 0, told.stderr
        watching = threading.Thread(target=stack.watch, args=(ended,))
        watching.start()
        try:
            registry = ProcessRegistry(redis_client(stack.redis_url), before.project)
            eventually(
                lambda: [(one.kind, one.plan) for one in registry.read()],
                "a worker by the new plan",
                lambda found: len(found) == 1 and found[0][1] != before.hash,
            )
            click(stack, "ada", 5, NOON_MS)  # waits for progress by the new plan
        finally:
            ended.set()
            watching.join()
        assert stack.plan.hash != before.hash
        assert worker.pid != first
        log = worker.log.read_text()
        assert "is not in force any more: ending, to be started anew" in log
        assert f"plan {stack.plan.hash[:12]}" in log
