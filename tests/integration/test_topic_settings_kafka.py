"""Processes look at the settings of their topics when they start, on real Kafka."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.support.join_scene import Loop
from tests.support.kafka_topics import alter_topic, delete_records
from tests.support.waiting import PATIENCE_S, eventually
from tests.support.worker_scene import PARTITIONS, Scene


def said_at_its_end(scene: Scene, code: int) -> str:
    before = len(scene.log_file.read_text()) if scene.log_file.exists() else 0
    assert scene.start_worker().wait(PATIENCE_S) == code
    return scene.log_file.read_text()[before:]


def test_a_worker_does_not_start_on_a_changelog_that_forgets(scene: Scene) -> None:
    source = scene.plan.sources[0].name
    changelog = scene.plan.topics.source(source).changelog
    alter_topic(scene.bootstrap, scene.plan.topics.late, retention_ms="1000")
    alter_topic(scene.bootstrap, changelog, cleanup_policy="delete", retention_ms="3600000")
    said = said_at_its_end(scene, 1)
    assert f"topic '{changelog}' has cleanup.policy=delete, wanted is compact" in said
    assert f"--alter --topic {changelog} --add-config cleanup.policy=compact" in said
    alter_topic(scene.bootstrap, changelog, cleanup_policy="compact")
    worker = scene.start_worker()
    scene.produce_random(random.Random(1), 200)
    scene.wait()
    scene.wait_for_checkpoint()
    assert scene.told(worker, f"topic '{scene.plan.topics.late}' has retention.ms=1000") == 1
    worker.terminate()
    assert worker.wait(PATIENCE_S) == 0
    alter_topic(scene.bootstrap, changelog, cleanup_policy="delete")
    delete_records(scene.bootstrap, changelog, dict.fromkeys(range(PARTITIONS), -1))
    alter_topic(scene.bootstrap, changelog, cleanup_policy="compact")
    assert f"headrace reset {source}" in said_at_its_end(scene, 70)


def test_a_join_does_not_start_on_predictions_that_are_kept_for_an_hour(loop: Callable[..., Loop]) -> None:
    run = loop()
    run.join.kill()
    alter_topic(run.bootstrap, run.names["predictions"], retention_ms="3600000")
    run.join.start()
    eventually(lambda: run.join.exit_code, "the join to end", lambda code: code is not None)
    said = run.join.last_lines()
    assert f"topic '{run.names['predictions']}' has retention.ms=3600000, wanted is -1" in said
