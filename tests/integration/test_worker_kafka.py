"""The worker against real Apache Kafka and real Redis, compared with the naive oracle row by row."""

from __future__ import annotations

import json
import random
import signal

from headrace.streams.progress import counts_key
from tests.support.expected_rows import is_empty, rules_of
from tests.support.process_health import wait_until_restoring
from tests.support.waiting import PATIENCE_S, eventually
from tests.support.window_oracle import OracleEvent, judge
from tests.support.worker_scene import Scene, dead_letters_of


def test_a_record_in_is_a_record_out(scene: Scene) -> None:
    scene.start_worker()
    scene.produce_random(random.Random(5), 3000)
    scene.wait()
    judged = [judge(log, rules_of(scene.plan)) for log in scene.logs]
    stored = scene.redis.hgetall(counts_key(scene.plan.project))
    for partition, one in enumerate(judged):
        counts = json.loads(stored[f"intake|{scene.plan.sources[0].topic}|{partition}".encode()])
        assert counts == one.counts
        assert sum(counts.values()) == len(scene.logs[partition])
    worker = scene.workers[-1]
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE_S) == 0
    for name, kinds in (
        (scene.plan.topics.late, {"late"}),
        (scene.plan.topics.dead_letters, {"malformed", "invalid", "future"}),
    ):
        dead_letters = dead_letters_of(scene.bootstrap, scene.plan, name)
        column = "late" if kinds == {"late"} else "dead"
        assert len(dead_letters) == sum(one.counts[column] for one in judged)
        assert {dead_letter.kind for dead_letter in dead_letters} <= kinds


def test_a_stopped_worker_has_acknowledged_everything_it_read(scene: Scene) -> None:
    scene.start_worker()
    scene.produce_random(random.Random(6), 1000)
    scene.wait()
    first = scene.workers[-1]
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE_S) == 0
    scene.start_worker()
    scene.produce_random(random.Random(7), 10)
    scene.wait()
    scene.assert_equals_oracle()


def test_a_worker_that_reads_its_changelog_stops_at_once(scene: Scene, free_port: int) -> None:
    first = scene.start_worker()
    scene.produce_random(random.Random(9), 1000)
    scene.wait()
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE_S) == 0
    scene.produce_random(random.Random(10), 10)
    stalled = scene.start_worker(program="stalled_worker", metrics_port=free_port)
    wait_until_restoring(free_port)
    stalled.send_signal(signal.SIGTERM)
    assert stalled.wait(PATIENCE_S) == 0
    scene.start_worker()
    scene.wait()
    scene.assert_equals_oracle()


def test_two_workers_share_the_partitions_and_one_takes_over(scene: Scene) -> None:
    rng = random.Random(8)
    first, second = scene.start_worker(), scene.start_worker()
    for _ in range(3):
        scene.produce_random(rng, 700)
    scene.wait()
    first.send_signal(signal.SIGKILL)
    scene.produce_random(rng, 700)
    scene.wait()
    second.send_signal(signal.SIGTERM)
    assert second.wait(PATIENCE_S) == 0
    scene.assert_equals_oracle()


def test_windows_of_partitions_without_traffic_empty_by_the_wall_clock(scene: Scene) -> None:
    """Behind the shuffle as well, and a restart goes on where time is, not where the last record was."""
    worker = scene.start_worker(idle_ms=300)
    now = 1_700_000_000_000
    for user in range(2):
        fields = {"user": user, "shop": "a", "event_ms": now, "amount": 1.0, "items": 1}
        scene.produce(user, OracleEvent(0, now, fields))
    scene.flush()
    scene.wait()
    scene.kill(worker)
    scene.start_worker(idle_ms=300)
    keys = {("by_user", (0,)): {}, ("by_user", (1,)): {}, ("by_shop", ("a",)): {}, ("by_both", ("a", 0)): {}}
    eventually(
        lambda: scene.online(keys), "empty rows", lambda rows: all(is_empty(row) for row in rows.values())
    )
