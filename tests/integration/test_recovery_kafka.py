"""Every row of `docs/operations/recovery.md`: what it says is lost, run and gone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.deploy.commands.topic_deletion import delete_topics
from headrace.learners.training.group import train_group
from headrace.schemas.topics import RouterTopics, SourceTopics
from headrace.streams.connections.kafka_admin import KafkaAdmin
from headrace.streams.join.config import join_group
from headrace.streams.runtime.internal_topics import Process
from headrace.streams.worker.consumer_group import worker_group
from tests.support.fuzz_scene import FuzzScene
from tests.support.headrace_command import run_headrace
from tests.support.paths import ROOT
from tests.support.waiting import eventually

PAGE = ROOT / "docs" / "operations" / "recovery.md"
REFUSED_BY: dict[str, Process] = {"reset --join": "join", "reset": "worker", "retrain": "train"}
OFTEN = {"Redis, while all runs", "changelog of the join", "everything but event topics"}


def rows() -> Iterator[tuple[str, list[str]]]:
    """What is lost, and the commands."""
    of_losses = PAGE.read_text().partition("\n## ")[0]
    table = [line.split("|")[1:-1] for line in of_losses.splitlines() if line.startswith("|")]
    for lost, _, commands, _ in table[2:]:
        yield lost.strip(), [one.strip().strip("`") for one in commands.split(",") if one.strip()]


CASES = [
    pytest.param(lost, commands, id=lost, marks=() if lost in OFTEN else pytest.mark.faults)
    for lost, commands in rows()
]


def topics(scene: FuzzScene) -> tuple[SourceTopics, RouterTopics]:
    return scene.plan.topics.source("clicks"), scene.plan.topics.router("own")


def lose_redis(scene: FuzzScene) -> None:
    """Every key of the project: others have the server, too."""
    project = scene.plan.project.encode()
    for key in list(scene.redis.scan_iter(count=1000)):
        if project in key:
            scene.redis.delete(key)


def lose_groups(scene: FuzzScene) -> None:
    names = [worker_group(scene.plan), join_group(scene.plan.project), train_group(scene.plan)]
    admin = KafkaAdmin(scene.bootstrap)  # kept, or nobody hears its answers
    for deleted in admin.delete_consumer_groups(names).values():
        deleted.result()


def lose_everything(scene: FuzzScene) -> None:
    events = {source.topic for source in scene.plan.sources}
    delete_topics(scene.bootstrap, [name for name in scene.topics if name not in events])
    lose_redis(scene)
    lose_groups(scene)
    for folder in (scene.settings.models_dir, scene.settings.feature_log_dir, scene.settings.examples_dir):
        shutil.rmtree(folder, ignore_errors=True)


def topic(name: Callable[[FuzzScene], str]) -> Callable[[FuzzScene], None]:
    return lambda scene: delete_topics(scene.bootstrap, [name(scene)])


def folder(of: Callable[[FuzzScene], Path]) -> Callable[[FuzzScene], None]:
    return lambda scene: shutil.rmtree(of(scene))


LOSSES: dict[str, Callable[[FuzzScene], None]] = {
    "Redis": lose_redis,
    "Redis, while all runs": lose_redis,
    "model store": folder(lambda scene: scene.settings.models_dir),
    "feature log": folder(lambda scene: scene.settings.feature_log_dir),
    "archive of examples": folder(lambda scene: scene.settings.examples_dir),
    "changelog of a source": topic(lambda scene: topics(scene)[0].changelog),
    "shuffle of a source": topic(lambda scene: topics(scene)[0].shuffle),
    "changelog of a shuffle": topic(lambda scene: topics(scene)[0].shuffle_changelog),
    "predictions": topic(lambda scene: topics(scene)[1].predictions),
    "outcomes": topic(lambda scene: topics(scene)[1].outcomes),
    "changelog of the join": topic(lambda scene: topics(scene)[1].join_changelog),
    "examples": topic(lambda scene: topics(scene)[1].examples),
    "closings": topic(lambda scene: topics(scene)[1].closings),
    "epochs": topic(lambda scene: topics(scene)[1].epochs),
    "models": topic(lambda scene: scene.plan.topics.models),
    "changelog of the trainer": topic(lambda scene: scene.plan.topics.train_changelog),
    "dead letters": topic(lambda scene: scene.plan.topics.dead_letters),
    "late letters": topic(lambda scene: scene.plan.topics.late),
    "consumer groups": lose_groups,
    "everything but event topics": lose_everything,
}


@pytest.fixture
def scene(
    kafka_bootstrap: str, redis_url: str, registry_url: str, project: str, tmp_path: Path
) -> Iterator[FuzzScene]:
    made = FuzzScene(kafka_bootstrap, redis_url, registry_url, project, tmp_path)
    yield made
    made.stop()


def run(scene: FuzzScene, command: str) -> None:
    words = tuple(command.split()[1:])
    asks = ("--yes",) if words[0] in ("reset", "retrain") else ()

    def told() -> subprocess.CompletedProcess[str]:
        return run_headrace((*words, *asks), scene.repository, scene.settings.environment())

    # Processes that ended by themselves are members of their group for a while.
    found = eventually(told, command, lambda one: "less than a session time-out ago" not in one.stderr)
    assert found.returncode == 0, (command, found.stdout, found.stderr)


def test_every_loss_of_the_page_is_tried() -> None:
    assert [lost for lost, _ in rows()] == list(LOSSES)


@pytest.mark.parametrize(("lost", "commands"), CASES)
def test_it_comes_back_as_the_page_says(scene: FuzzScene, lost: str, commands: list[str]) -> None:
    scene.start()
    scene.work("before")
    if lost != "Redis, while all runs":
        scene.end()
    LOSSES[lost](scene)
    for command in commands:
        kind = next((kind for kind in REFUSED_BY if f" {kind} " in f"{command} "), None)
        if kind is not None:
            said = scene.start_alone(REFUSED_BY[kind])
            assert said is not None, f"{REFUSED_BY[kind]} goes on without {lost}"
            assert f"headrace {kind}" in said.splitlines()[-1]
            assert "Traceback" not in said
        run(scene, command)
    scene.start()
    scene.work("after")
    scene.assert_worked("before")
