"""What a trainer says of itself, and what a malformed closing does to that."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from headrace.learners.training.group import read_trainers
from headrace.learners.training.process import TrainProcess
from headrace.streams.runtime.health_server import serve_health
from headrace.streams.runtime.watchdog import Watchdog
from tests.support.flight_learners import HOUR_MS, closings, examples
from tests.support.process_health import ask, metrics, wait_for_metric
from tests.support.train_scene import Scene, bodies, running
from tests.support.waiting import eventually


def positions(process: TrainProcess) -> dict[str, dict[int, int | None]]:
    found: dict[str, dict[int, int | None]] = {}
    for one in process.health().partitions:
        found.setdefault(one.topic, {})[one.partition] = one.position
    return found


def test_a_second_trainer_stands_by_says_so_and_takes_over(
    kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path, free_port: int
) -> None:
    scene = Scene(kafka_bootstrap, redis_url, project, tmp_path)
    stream = bodies(list(examples(scene.plan, 20)))
    first, second = scene.process(publish_every_s=0.05), scene.process(publish_every_s=0.05)
    server = serve_health("127.0.0.1", free_port, Watchdog(kafka_bootstrap, second.health, 60))
    try:
        with ExitStack() as second_runs:
            with running(first):
                scene.write(scene.examples, *stream[:10])
                scene.await_trained(10)
                second_runs.enter_context(running(second))
                eventually(lambda: second.health().is_standby, "a trainer that stands by")
                plan = f"plan {scene.plan.hash[:12]}\n"
                assert ask(free_port, "/readyz") == (200, f"standby: another process is the owner\n{plan}")
                assert metrics(free_port)["headrace_train_owner"][()] == 0
                trainers = read_trainers(kafka_bootstrap, scene.plan)
                assert [trainer.is_owner for trainer in trainers] == [True, False]
            scene.write(scene.examples, *stream[10:])
            scene.await_trained(20)
            assert ask(free_port, "/readyz") == (200, f"ready\n{plan}")
            assert metrics(free_port)["headrace_train_owner"][()] == 1
    finally:
        server.shutdown()
        server.server_close()
    assert {scene.newest(arm).header.examples for arm in scene.router.arms} == {20}


def test_a_trainer_tells_how_far_it_is_and_what_it_has_learned(
    kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path, free_port: int
) -> None:
    scene = Scene(kafka_bootstrap, redis_url, project, tmp_path)
    stream = bodies(list(examples(scene.plan, 30)))
    scene.write(scene.examples, *stream[:10], HOUR_MS, b"no example", *stream[10:])
    ends = {}
    for partition in (0, 1):
        found = bodies(list(closings(scene.plan, 40, {"streaming": 0.8}))[partition::2])
        scene.write(scene.closings, *found, b"no closing", partition=partition)
        ends[partition] = len(found) + 1
    process = scene.process(publish_every_s=0.05)
    assert not process.health().ready
    watchdog = Watchdog(kafka_bootstrap, process.health, 60)
    server = serve_health("127.0.0.1", free_port, watchdog)
    try:
        assert ask(free_port, "/readyz") == (503, "no partitions are assigned yet\n")
        with running(process):
            scene.await_trained(32)
            everything = {scene.examples: {0: 32}, scene.closings: ends}
            eventually(
                lambda: positions(process), f"positions {everything}", lambda found: found == everything
            )
            watchdog.look()
            told = wait_for_metric(
                free_port, "headrace_train_unpublished", lambda left: left and not any(left.values())
            )
            assert ask(free_port, "/readyz")[0] == ask(free_port, "/healthz")[0] == 200
            assert metrics(free_port)["headrace_checkpoint_age_seconds"][()] < 60
        assert set(told["headrace_lag"].values()) == {0}
        assert told["headrace_train_learned_total"] == {("delays", arm): 30 for arm in scene.router.arms}
        assert set(told["headrace_train_poisoned_total"].values()) == {0}
        assert told["headrace_freshness_seconds"].keys() == {(scene.examples, "0")}
        assert told["headrace_train_epoch"].keys() == {("delays",)}
    finally:
        server.shutdown()
        server.server_close()
