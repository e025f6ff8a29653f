"""What a join says of itself over HTTP, and when it gives up."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.deploy.local.redis_server import RedisServer
from headrace.schemas.avro import encode_confluent
from tests.support.join_oracle import O, P
from tests.support.join_scene import PARTITIONS, SCHEMA, Loop, a_log, oracles
from tests.support.process_health import (
    EXIT_FAILED,
    STUCK_S,
    Values,
    ask,
    assert_tells_of_a_standstill,
    wait_for_metric,
    wait_until_idle_for_redis,
    wait_until_ready,
)
from tests.support.waiting import eventually


@pytest.fixture
def redis_url(own_redis: RedisServer) -> str:
    return own_redis.url


def told_when_all_is_in(run: Loop, port: int) -> dict[str, Values]:
    """The metrics once they tell of all that was sent: progress and ends of topics follow by a moment."""
    run.wait()
    sent = {(name, str(p)): end for name, ends in run.sent.items() for p, end in ends.items()}
    wait_for_metric(
        port, "headrace_position", lambda found: all(found.get(w, 0) >= end for w, end in sent.items())
    )
    return wait_for_metric(port, "headrace_lag", lambda lags: not any(lags.values()))


def fates(told: Values, partition: int) -> dict[str, float]:
    return {fate: value for (_, of, fate), value in told.items() if of == str(partition)}


def test_predictions_and_outcomes_add_up_in_metrics_and_probes_tell_the_state(
    loop: Callable[..., Loop], free_port: int
) -> None:
    log = a_log(300, seed=8)
    run, expected = loop(metrics_port=free_port), oracles(log, "first", "negative")
    events = run.plan.sources[0].topic
    wait_until_ready(free_port)
    for event in log[:-2]:  # the marks that close everything come later
        run.send_event(event)
    for n in range(10):
        value = encode_confluent(SCHEMA, 1, {"flight": f"x{n}", "late": None if n == 5 else True, "at": 200})
        run.send(events, n % PARTITIONS, value if n else b"not avro", key=b"x", timestamp=200)
    told = told_when_all_is_in(run, free_port)
    assert sum(told["headrace_join_labels_total"].values()) == 10
    assert told["headrace_join_labels_total"][events, "delays", "0", "malformed"] == 1
    assert told["headrace_join_labels_total"][events, "delays", "1", "unlabelled"] == 1
    assert sum(told["headrace_join_predictions"].values()) == sum(isinstance(event, P) for event in log)
    assert sum(fates(told["headrace_join_predictions"], n)["pending"] for n in range(PARTITIONS)) > 0
    for event in log[-2:]:
        run.send_event(event)
    told = told_when_all_is_in(run, free_port)
    for partition, oracle in enumerate(expected):
        counts = oracle.counts()
        found = fates(told["headrace_join_predictions"], partition)
        assert found == {name: counts[name] for name in ("matched", "negative")} | {
            "pending": 0,
            "censored": 0,
        }
    sent = sum(isinstance(event, O) for event in log) + 8
    assert sum(told["headrace_join_outcomes"].values()) == sent
    for kind in ("predictions", "outcomes"):
        for partition in range(PARTITIONS):
            place = run.names[kind], str(partition)
            assert told["headrace_position"][place] >= run.sent[run.names[kind]][partition]
            assert told["headrace_restored_ratio"][place] == 1
            assert told["headrace_freshness_seconds"][place] > 1e9  # event time is near 1970
            assert told["headrace_ranges_total"][place] > 0
    assert len(told["headrace_position"]) == 3 * PARTITIONS
    assert "headrace_keys" not in told
    assert set(told["headrace_waiting"].values()) == {0}
    assert ask(free_port, "/healthz")[0] == 200
    began_s = time.monotonic()  # who has nothing to do does not stand still
    wait_for_metric(
        free_port, "headrace_checkpoint_age_seconds", lambda age: age[()] < time.monotonic() - began_s
    )
    assert run.join.stop() == 0


def test_waiting_for_redis_is_no_standstill(
    loop: Callable[..., Loop], own_redis: RedisServer, free_port: int
) -> None:
    run = loop(metrics_port=free_port, stuck_s=STUCK_S)
    log = a_log(100, seed=9)
    for event in log[:50]:
        run.send_event(event)
    run.wait()
    own_redis.stop()
    for event in log[50:75]:
        run.send_event(event)
    run.producer.flush()
    wait_for_metric(free_port, "headrace_waiting", lambda waiting: waiting.get(("redis",)) == 1)
    for event in log[75:]:  # what came before may all be processed by now
        run.send_event(event)
    run.producer.flush()
    wait_until_idle_for_redis(free_port)
    own_redis.start()
    run.wait()
    assert run.counts()["predictions"] == 100
    assert run.join.exit_code is None
    wait_for_metric(free_port, "headrace_waiting", lambda waiting: set(waiting.values()) == {0})


def test_a_join_that_stands_still_with_records_before_it_ends_and_says_why(
    loop: Callable[..., Loop], tmp_path: Path
) -> None:
    log = a_log(400, seed=10)
    run, expected = loop(program="hanging_join", stuck_s=3.0), oracles(log, "first", "negative")
    left = list(log)

    def send_some() -> int | None:
        run.send_slowly(left[:5])
        del left[:5]
        return run.join.exit_code

    assert eventually(send_some, "the end of the join", lambda code: code is not None) == EXIT_FAILED
    assert_tells_of_a_standstill(tmp_path / "join.log")
    for event in left:
        run.send_event(event)
    again = loop()
    again.sent = run.sent
    run.producer.flush()
    again.settle()
    for partition, oracle in enumerate(expected):
        closed = sorted(c.prediction.prediction_id for c in again.closings(partition))
        assert closed == sorted(row[0] for row in oracle.closings)
