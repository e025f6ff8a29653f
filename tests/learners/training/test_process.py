"""The train process against real Apache Kafka and real Redis."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.deploy.commands.topics import ensure_topics
from headrace.deploy.local.redis_server import RedisServer
from headrace.learners.models.state_digest import state_digest
from headrace.learners.routing.epochs import EpochKeeper
from headrace.learners.training.trainer import replay
from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.errors import StateError
from headrace.schemas.records import Closing, Epoch
from headrace.streams.connections.kafka_admin import KafkaAdmin
from tests.support.flight_learners import HOUR_MS, closings, examples
from tests.support.paths import ROOT
from tests.support.train_scene import Scene, bodies, running
from tests.support.waiting import eventually


@pytest.fixture
def scene(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Scene:
    return Scene(kafka_bootstrap, redis_url, project, tmp_path)


def test_killed_at_any_moment_it_ends_in_the_same_state_as_without(scene: Scene) -> None:
    stream = list(examples(scene.plan, 800))
    scene.write(scene.examples, *bodies(stream))
    plan_file = scene.folder / "plan.json"
    plan_file.write_text(scene.plan.to_json())
    config = {"publish_every_s": 0.05, "session_timeout_ms": 1000}
    command = [
        sys.executable, "-m", "tests.support.train_process", str(plan_file), str(scene.folder),
        scene.bootstrap, scene.redis_url, str(scene.store.directory), json.dumps(config),
    ]  # fmt: skip
    for kill_at in (1, 300, None):
        trainer = subprocess.Popen(command, cwd=ROOT)
        try:
            scene.await_trained(len(stream) if kill_at is None else kill_at)
        finally:
            trainer.kill()
            trainer.wait()
    expected = {
        arm: replay(scene.plan, scene.project.learner(arm), enumerate(stream), len(stream))
        for arm in scene.router.arms
    }
    assert scene.digests() == expected
    assert {scene.newest(arm).header.examples for arm in scene.router.arms} == {len(stream)}


def test_by_marks_alone_versions_do_not_depend_on_how_the_records_arrive(scene: Scene) -> None:
    stream = bodies(list(examples(scene.plan, 90)))
    with running(scene.process(publish_every_s=0)):
        scene.write(scene.examples, HOUR_MS, *stream[:30], 2 * HOUR_MS)
        scene.await_trained(32)
        scene.write(scene.examples, *stream[30:50], 2 * HOUR_MS + 1, *stream[50:60])
        scene.write(scene.examples, 3 * HOUR_MS, 4 * HOUR_MS)
        scene.await_trained(65)
    lineage = scene.lineage("tree")
    assert [(h.version, h.parent, h.offset, h.examples) for h in lineage] == [
        ("1.0", None, 0, 0), ("1.1", "1.0", 32, 30), ("1.2", "1.1", 64, 60),
    ]  # fmt: skip
    with running(scene.process(publish_every_s=0)):
        scene.write(scene.examples, *stream[60:], 5 * HOUR_MS)
        scene.await_trained(96)
    assert [h.offset for h in scene.lineage("tree")] == [0, 32, 64, 96]
    pointers = scene.pointers.read(scene.router).pointers
    assert {(p.version, p.offset) for p in pointers.values()} == {("1.3", 96)}


def test_a_mark_before_which_nothing_was_learned_is_passed_although_an_example_follows(scene: Scene) -> None:
    first, second, later = bodies(list(examples(scene.plan, 3)))
    scene.write(scene.examples, first, HOUR_MS, 2 * HOUR_MS, second)
    with running(scene.process(publish_every_s=0)):
        scene.await_trained(3)
        scene.write(scene.examples, 3 * HOUR_MS, 3 * HOUR_MS + 1, later)
        scene.await_trained(6)
    assert [h.offset for h in scene.lineage("tree")] == [0, 2, 5]


def test_a_published_version_is_seen_within_the_wall_clock_interval(scene: Scene) -> None:
    stream = list(examples(scene.plan, 20))
    with running(scene.process(publish_every_s=0.05)):
        scene.write(scene.examples, *bodies(stream))
        scene.await_trained(20)
        artifact = scene.newest("streaming")
    assert state_digest(artifact.model) == replay(
        scene.plan, scene.project.learner("streaming"), enumerate(stream), 20
    )


def test_examples_that_were_made_anew_are_refused(scene: Scene) -> None:
    with running(scene.process()):
        scene.await_trained(0)
    admin = KafkaAdmin(scene.bootstrap)
    admin.delete_topics([scene.examples])[scene.examples].result()
    eventually(lambda: scene.examples not in admin.metadata().topics, "the topic to be gone")
    ensure_topics(scene.bootstrap, scene.plan)
    with pytest.raises(StateError, match=r"examples\.delays' was deleted and made again .* learned anew"):
        scene.process().work()


def test_poison_goes_to_the_dead_letters_and_holds_nobody_up(scene: Scene) -> None:
    stream = list(examples(scene.plan, 3))
    asked = stream[1].prediction.model_copy(update={"request": {"distance": None, "flight": "f"}})
    poison = stream[1].model_copy(update={"prediction": asked})
    with running(scene.process(publish_every_s=0.05)):
        scene.write(
            scene.examples, stream[0].to_bytes(), b"nonsense", poison.to_bytes(), stream[2].to_bytes()
        )
        scene.await_trained(4)
    refused = scene.read(scene.plan.topics.dead_letters)
    dead_letters = [DeadLetter.model_validate_json(dead_letter) for dead_letter in refused]
    assert [(dead_letter.kind, dead_letter.offset) for dead_letter in dead_letters] == [
        ("malformed", 1),
        ("invalid", 2),
    ]
    assert "learner 'crossed' raised KeyError: 'distance'" in dead_letters[1].reason
    newest = {arm: scene.lineage(arm)[-1] for arm in scene.router.arms}
    assert (newest["crossed"].examples, newest["crossed"].poisoned) == (2, 1)
    assert (newest["base"].examples, newest["base"].poisoned) == (3, 0)


def test_an_outage_of_redis_delays_publishing_and_loses_nothing(
    kafka_bootstrap: str, project: str, tmp_path: Path
) -> None:
    with RedisServer(tmp_path, persistent=True) as server:
        scene = Scene(kafka_bootstrap, server.url, project, tmp_path)
        stream = list(examples(scene.plan, 60))
        with running(scene.process(publish_every_s=0.05)):
            scene.write(scene.examples, *bodies(stream[:20]))
            scene.await_trained(20)
            server.stop()
            scene.write(scene.examples, *bodies(stream[20:]))
            server.restart()
            scene.await_trained(60)
        pointers = scene.pointers.read(scene.router).pointers
        assert {pointer.offset for pointer in pointers.values()} == {60}
        tree = replay(scene.plan, scene.project.learner("tree"), enumerate(stream), 60)
        assert scene.digests()["tree"] == tree


def test_training_goes_on_after_redis_was_out_of_memory(
    kafka_bootstrap: str, project: str, tmp_path: Path
) -> None:
    with RedisServer(tmp_path) as server:
        scene = Scene(kafka_bootstrap, server.url, project, tmp_path)
        scene.redis.config_set("maxmemory", 1)
        with running(process := scene.process(publish_every_s=0.05)):
            scene.write(scene.examples, *bodies(list(examples(scene.plan, 20))))
            eventually(lambda: process.health().waiting_for, "the trainer waits for Redis")
            scene.redis.config_set("maxmemory", 0)
            scene.await_trained(20)
            eventually(lambda: process.health().waiting_for is None, "the trainer no longer waits")


def test_epochs_reach_redis_and_their_topic_and_go_on_after_a_restart(scene: Scene) -> None:
    found = list(closings(scene.plan, 240, {"streaming": 0.8, "base": 0.5}))
    end = found[-1].prediction.ts_ms + scene.router.wait_ms + 2 * HOUR_MS
    expected = folded(scene, found, end)
    another = EpochKeeper(scene.router, scene.plan.hash, 2)
    for n, closing in enumerate(closings(scene.plan, 240, {"base": 1.0})):
        list(another.take(n % 2, n // 2, closing))
    scene.store.directory.mkdir(parents=True, exist_ok=True)
    (scene.store.directory / "epochs.delays.json").write_text(another.to_json())  # nobody signed it
    with running(scene.process()):
        assert scene.await_epoch(0).propensities == dict.fromkeys(scene.router.arms, 0.2)
        for partition in (0, 1):
            scene.write(scene.closings, *bodies(found[partition:150:2]), partition=partition)
        first = scene.await_epoch(2)
    with running(scene.process()):
        assert scene.await_epoch(0) == first == expected[1]
        for partition in (0, 1):
            scene.write(scene.closings, *bodies(found[150 + partition :: 2]), end, partition=partition)
        assert scene.await_epoch(expected[-1].epoch) == expected[-1]
    written = scene.read(scene.plan.topics.router("delays").epochs)
    assert [Epoch.model_validate_json(epoch) for epoch in written] == expected
    assert expected[-1].propensities["streaming"] > first.propensities["streaming"] > 0.2


def folded(scene: Scene, found: list[Closing], end: int) -> list[Epoch]:
    """The epochs that follow from closings dealt to two partitions by turns, each ended by a mark."""
    keeper = EpochKeeper(scene.router, scene.plan.hash, 2)
    epochs = [e for n, closing in enumerate(found) for e in keeper.take(n % 2, n // 2, closing)]
    return epochs + [e for n in (0, 1) for e in keeper.mark(n, len(found) // 2, end)]
