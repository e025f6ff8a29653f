"""`headrace status`, `wait` and `healthy`, as they are typed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from typer.testing import CliRunner

from headrace.deploy.cli.main import app
from headrace.deploy.commands.topic_specs import all_topics
from headrace.deploy.local.mock_kafka import MockKafka
from headrace.featurestore.plans.store import PlanStore
from headrace.schemas.errors import HeadraceError, ProgressTimeout, SettingsError
from headrace.schemas.plan import Plan
from headrace.streams.progress import Progress, ProgressStore
from tests.support.flight_learners import flights
from tests.support.ordered_producer import produce


class Project:
    """A project in force, whose worker says how far it is."""

    def __init__(self, plan: Plan, broker: MockKafka, redis_url: str, folder: Path) -> None:
        self.plan, self._broker, self.folder = plan, broker, str(folder)
        self._progress = ProgressStore(redis.Redis.from_url(redis_url), plan)
        PlanStore(redis_url, plan.project).save(plan)

    def send(self, count: int) -> None:
        produce(self._broker.bootstrap, self.plan.sources[0].topic, [b"x"] * count)

    def has_read(self, count: int, at_ms: int = 0) -> None:
        topic = self.plan.sources[0].topic
        self._progress.publish("features", topic, 0, Progress(count, at_ms=at_ms), "direct")

    def run(self, command: str, *words: str) -> str:
        """What a command that ends well prints."""
        done = CliRunner().invoke(app, [command, *words, self.folder], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    def wait(self, *options: str) -> str:
        topic = self.plan.sources[0].topic
        done = CliRunner().invoke(app, ["wait", topic, self.folder, *options])
        if done.exception is not None:
            raise done.exception
        return done.output


@pytest.fixture
def project(
    redis_url: str, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    plan, _ = flights(tmp_path, project)
    plan = plan.model_copy(update={"routers": ()})
    broker = MockKafka(all_topics(plan, event_partitions=1, topic_partitions={}))
    monkeypatch.setenv("HEADRACE_REDIS", redis_url)
    monkeypatch.setenv("HEADRACE_KAFKA", broker.bootstrap)
    monkeypatch.setenv("HEADRACE_PROJECT", project)
    yield Project(plan, broker, redis_url, tmp_path)
    broker.close()


def test_status_tells_what_is_visible_and_what_is_not_yet(project: Project) -> None:
    assert "nothing has reported yet" in project.run("status")
    project.send(5)
    project.has_read(3)
    (stage,) = json.loads(project.run("status", "--json"))["stages"]
    assert (stage["stage"], stage["visible"], stage["lag"]) == ("features", 3, 2)
    assert f"project {project.plan.project}" in project.run("status")


def test_wait_returns_once_the_whole_topic_or_the_prefix_is_visible(project: Project) -> None:
    project.send(5)
    project.has_read(5)
    topic = project.plan.sources[0].topic
    assert project.wait() == f"visible in features: {topic} 0=5\n"
    assert project.wait("--stage", "features", "--prefix", "0=4") == f"visible in features: {topic} 0=4\n"


def test_wait_says_which_stage_is_behind(project: Project) -> None:
    project.send(5)
    project.has_read(3)
    with pytest.raises(ProgressTimeout, match="features"):
        project.wait("--timeout", "0.05")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--stage", "tomorrow"), "--stage 'tomorrow' is not one of features, examples, models, serve"),
        (("--until", "serve"), "--until is called --stage here: headrace wait .* --stage serve"),
        (("--prefix", "0:4"), "--prefix '0:4' is not PARTITION=OFFSET, for example --prefix 0=120"),
    ],
)
def test_wait_refuses_what_it_does_not_understand(
    project: Project, options: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        project.wait(*options)


def test_healthy_fails_for_processes_that_stand_still_with_records_before_them(project: Project) -> None:
    project.has_read(0, at_ms=1)
    project.run("healthy", "worker")
    project.send(2)
    done = CliRunner().invoke(app, ["healthy", "worker", project.folder, "--longest", "0.5"])
    assert done.exit_code == 1
    assert "worker has 2 records before it and has not moved" in done.output
    project.run("healthy", "train")
    project.has_read(0)
    project.run("healthy", "worker")


def test_healthy_knows_the_processes_that_consume(project: Project) -> None:
    with pytest.raises(HeadraceError, match="'serve' is not one of worker, join, train"):
        CliRunner().invoke(app, ["healthy", "serve", project.folder], catch_exceptions=False)
