"""A state is of one topic and one changelog: others of the same name are found out, and put right."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from headrace.deploy.commands.reset import plan_reset, reset
from headrace.deploy.commands.topics import ensure_topics
from headrace.schemas.errors import HeadraceError
from tests.support.kafka_topics import delete_records
from tests.support.waiting import PATIENCE_S, eventually
from tests.support.worker_scene import PARTITIONS, Scene


@pytest.fixture
def scene(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(kafka_bootstrap, redis_url, project, tmp_path)
    yield made
    made.stop()


def work(scene: Scene, count: int) -> None:
    """Have a worker process random events, make a checkpoint of them, and end."""
    worker = scene.start_worker()
    scene.produce_random(random.Random(count), count)
    scene.wait()
    scene.wait_for_checkpoint()
    worker.terminate()
    assert worker.wait(PATIENCE_S) == 0


def make_anew(scene: Scene, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": scene.bootstrap})
    admin.delete_topics([name])[name].result()

    def known() -> set[str]:
        return set(admin.list_topics(timeout=PATIENCE_S).topics)

    eventually(known, f"{name} to go", lambda topics: name not in topics)
    ensure_topics(scene.bootstrap, scene.plan, event_partitions=PARTITIONS)


def refusal(scene: Scene) -> str:
    """What a worker says that ends by itself."""
    before = len(scene.log_file.read_text())
    worker = scene.start_worker()
    assert worker.wait(PATIENCE_S) == 70
    return scene.log_file.read_text()[before:]


def put_right(scene: Scene) -> None:
    source = scene.plan.sources[0].name
    eventually(lambda: _planned(scene, source), "the group to be empty", lambda planned: planned is not None)
    reset(scene.bootstrap, scene.plan, source, 1, print)


def _planned(scene: Scene, source: str) -> object:
    try:
        return plan_reset(scene.bootstrap, scene.plan, source)
    except HeadraceError:
        return None


def test_a_topic_that_was_made_again(scene: Scene) -> None:
    work(scene, 400)
    make_anew(scene, scene.plan.sources[0].topic)
    said = refusal(scene)
    assert f"topic '{scene.plan.sources[0].topic}' was deleted and made again" in said
    assert "headrace reset purchases" in said
    put_right(scene)
    scene.redis.flushdb()
    scene.logs = [[] for _ in range(PARTITIONS)]
    work(scene, 300)
    scene.assert_equals_oracle()
    scene.assert_counts_equal_oracle()


def test_a_changelog_that_was_made_again(scene: Scene) -> None:
    work(scene, 400)
    changelog = scene.plan.topics.source(scene.plan.sources[0].name).changelog
    make_anew(scene, changelog)
    assert "so its changelog was lost" in refusal(scene)
    put_right(scene)
    work(scene, 300)
    scene.assert_equals_oracle()
    scene.assert_counts_equal_oracle()


def test_a_changelog_that_was_made_again_under_a_running_worker(scene: Scene) -> None:
    scene.start_worker()
    scene.produce_random(random.Random(1), 400)
    scene.wait()
    scene.wait_for_checkpoint()
    make_anew(scene, scene.plan.topics.source(scene.plan.sources[0].name).changelog)
    scene.produce_random(random.Random(2), 400)
    for worker in scene.running():
        scene.kill(worker)
    said = refusal(scene)
    assert "was deleted and made again" in said or "so its changelog was lost" in said
    put_right(scene)
    work(scene, 300)
    scene.assert_equals_oracle()
    scene.assert_counts_equal_oracle()


def test_records_that_retention_took_are_counted_as_lost(scene: Scene) -> None:
    work(scene, 400)
    ends = [len(log) for log in scene.logs]
    scene.produce_random(random.Random(3), 200)
    deleted = [end + 20 for end in ends]
    delete_records(scene.bootstrap, scene.plan.sources[0].topic, dict(enumerate(deleted)))
    scene.start_worker()
    scene.wait()
    for partition, counts in enumerate(scene.counts()):
        assert counts["lost"] == 20
        assert sum(counts.values()) == len(scene.logs[partition])
    assert "20 records are lost to its views" in scene.log_file.read_text()


def test_a_reset_is_refused_while_workers_run(scene: Scene) -> None:
    scene.start_worker()
    scene.produce_random(random.Random(4), 50)
    scene.wait()
    with pytest.raises(HeadraceError, match="stop them"):
        plan_reset(scene.bootstrap, scene.plan, scene.plan.sources[0].name)


def test_a_reset_says_what_it_will_do(scene: Scene) -> None:
    scene.produce_random(random.Random(5), 50)
    planned = plan_reset(scene.bootstrap, scene.plan, scene.plan.sources[0].name)
    assert (planned.records, planned.gone) == (50, 0)
    assert "50 records are read again" in planned.describe()
