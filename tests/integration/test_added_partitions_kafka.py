"""Partitions that are added to a topic under a running worker: it goes on, says so, and `apply` leads on."""

from __future__ import annotations

import random
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from headrace.deploy.commands.healthy import unprocessed
from headrace.deploy.commands.partitions import added_partitions
from headrace.deploy.commands.status import read_status
from headrace.deploy.commands.topics import ensure_topics, topic_ends
from headrace.schemas.errors import PlanError
from headrace.schemas.plan import Plan
from tests.support.expected_rows import assert_rows_equal, expected_rows, oracle_features, rules_of
from tests.support.join_scene import PARTITIONS as JOIN_PARTITIONS
from tests.support.join_scene import Loop, a_log, oracles
from tests.support.kafka_topics import add_partitions
from tests.support.waiting import PATIENCE_S, eventually
from tests.support.window_oracle import features_at, judge
from tests.support.worker_scene import Scene, random_event


def behind_the_shuffle(plan: Plan) -> Plan:
    """The same views, as they are without the tag `headrace.key`."""
    source = plan.sources[0].model_copy(update={"key_field": None})
    return plan.model_copy(update={"sources": (source,)})


def produce(scene: Scene, rng: random.Random, count: int) -> None:
    """Into all partitions, with keys that are in several of them."""
    for _ in range(count):
        partition = rng.randrange(len(scene.logs))
        now = scene.start_ms + sum(map(len, scene.logs)) * 2
        scene.produce(partition, random_event(rng, partition % 2, len(scene.logs[partition]), now))
    scene.flush()


def expected_behind_the_shuffle(scene: Scene) -> dict[tuple[str, tuple], dict[str, Any]]:
    judged = [judge(log, rules_of(scene.plan)) for log in scene.logs]
    expected = expected_rows(scene.plan, judged)
    everything = [
        (t, (offset, p), fields) for p, one in enumerate(judged) for t, offset, fields in one.accepted
    ]
    clock_ms = max(one.clock_ms for one in judged if one.clock_ms is not None)
    users = features_at(everything, clock_ms, ("user",), oracle_features(scene.plan, "by_user"))
    return expected | {("by_user", key): values for key, values in users.items()}


def put_in_force(scene: Scene, plan: Plan) -> None:
    """What `headrace apply` and a start of the workers do."""
    for worker in scene.running():
        worker.terminate()
        assert worker.wait(PATIENCE_S) == 0
    ensure_topics(scene.bootstrap, plan)
    scene.plan = plan
    scene.plan_file.write_text(plan.to_json())
    scene.start_worker()


def test_a_worker_goes_on_with_what_it_knows_and_apply_leads_to_right_values(
    scene: Scene, free_port: int
) -> None:
    rng, topic = random.Random(1), scene.plan.sources[0].topic
    scene.start_worker()
    scene.produce_random(rng, 300)
    scene.wait()
    add_partitions(scene.bootstrap, topic, 3)
    scene.look_at_partitions_anew()
    known, scene.logs = scene.logs, [*scene.logs, []]
    produce(scene, rng, 300)
    second = scene.start_worker(metrics_port=free_port)  # begins an assignment, as a minute or so would
    told = f"{topic}[2] is not processed"
    eventually(scene.log_file.read_text, told, lambda text: told in text)
    added, scene.logs = scene.logs[2], known
    scene.produce_random(rng, 200)
    scene.wait()
    scene.assert_equals_oracle()
    scene.assert_counts_equal_oracle()
    assert len(scene.running()) == 2

    status = read_status(scene.redis, scene.plan, topic_ends(scene.bootstrap, scene.plan))
    assert status.unread == {f"{topic}[2]": len(added)}
    assert "does not process" in str(unprocessed(scene.plan, status, "worker"))
    scene.kill(scene.workers[0])  # then the other has all partitions, and so the new one
    metric = f'headrace_unread_records{{partition="2",topic="{topic}"}}'
    eventually(lambda: metrics(free_port), metric, lambda text: f"{metric} {len(added)}.0" in text)

    with pytest.raises(PlanError, match="view 'by_user' reads the topic directly"):
        ensure_topics(scene.bootstrap, scene.plan)
    scene.kill(second)
    put_in_force(scene, behind_the_shuffle(scene.plan))
    scene.logs = [*scene.logs, added]
    produce(scene, rng, 100)
    scene.wait()
    expected = expected_behind_the_shuffle(scene)
    assert_rows_equal(scene.online(expected), expected)


def metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as answer:
        return str(answer.read().decode())


def test_behind_the_shuffle_partitions_may_be_added_to_any_topic(scene: Scene) -> None:
    """The state of the partitions before stays. What the inner topics have too much of stays empty."""
    rng, plan = random.Random(2), behind_the_shuffle(scene.plan)
    topics = plan.topics.source("purchases")
    put_in_force(scene, plan)
    produce(scene, rng, 300)
    scene.wait()
    scene.wait_for_checkpoint()
    add_partitions(scene.bootstrap, plan.sources[0].topic, 4)
    add_partitions(scene.bootstrap, topics.shuffle, 3)
    (added,) = added_partitions(plan, topic_ends(scene.bootstrap, plan))
    assert (added.known, added.found, added.moving) == (2, 4, {})
    scene.look_at_partitions_anew()
    scene.logs = [*scene.logs, [], []]
    put_in_force(scene, plan)
    produce(scene, rng, 300)
    scene.wait()
    expected = expected_behind_the_shuffle(scene)
    assert_rows_equal(scene.online(expected), expected)
    assert "restored 0 records" in scene.log_file.read_text()
    status = read_status(scene.redis, plan, topic_ends(scene.bootstrap, plan))
    assert status.unread == {}


def test_a_join_goes_on_when_partitions_were_added_to_one_of_its_inputs(loop: Callable[..., Loop]) -> None:
    log, run = a_log(60, seed=5), loop()
    expected = oracles(log, "first", "negative")
    add_partitions(run.bootstrap, run.names["predictions"], JOIN_PARTITIONS + 1)
    run.send(run.names["predictions"], JOIN_PARTITIONS, b"nobody reads this")
    for event in log:
        run.send_event(event)
    run.producer.flush()
    beyond = run.sent[run.names["predictions"]].pop(JOIN_PARTITIONS)
    run.join.start()
    run.wait()
    examples = sorted((e.example_id, e.label, e.label_ts_ms) for e in run.examples())
    assert examples == sorted(row for o in expected for row in o.examples)
    told = f"{run.names['predictions']}[{JOIN_PARTITIONS}] is not processed"
    assert told in (run.folder / "join.log").read_text()
    status = read_status(run.redis, run.plan, topic_ends(run.bootstrap, run.plan))
    assert status.unread == {f"{run.names['predictions']}[{JOIN_PARTITIONS}]": beyond}
    assert ensure_topics(run.bootstrap, run.plan)[run.names["outcomes"]] == JOIN_PARTITIONS + 1
    assert run.join.stop() == 0
