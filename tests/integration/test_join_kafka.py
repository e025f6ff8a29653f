"""The join process on real Kafka and Redis: counted, in order, exactly once under kill -9."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from headrace.schemas.avro import encode_confluent
from headrace.schemas.marks import Mark, mark_headers
from headrace.schemas.records import Closing
from headrace.streams.join.example_archive import read_examples
from headrace.streams.progress import ProgressStore, counts_key
from tests.support.join_oracle import M, O, P
from tests.support.join_scene import PARTITIONS, PUBLISH, REFRESH, SCHEMA, Loop, a_log, oracles
from tests.support.waiting import PATIENCE_S


def closing_row(closing: Closing) -> tuple[str, str, float | None, int | None]:
    return closing.prediction.prediction_id, closing.status, closing.label, closing.label_ts_ms


def assert_one_mark_per(every_ms: int, marks: list[int], until: int) -> None:
    """The clock's marks, each across another multiple of `every_ms`, the last one where the clock stands."""
    crossed = [mark // every_ms for mark in marks]
    assert crossed == sorted(set(crossed))
    assert marks[-1] == until


@pytest.mark.parametrize("missing", ["negative", "drop"])
def test_examples_and_closings_equal_the_oracle_and_everything_is_counted(
    loop: Callable[..., Loop], missing: str
) -> None:
    log = a_log(400, seed=7)
    run, expected = loop(missing=missing), oracles(log, "first", missing)
    for event in log:
        run.send_event(event)
    run.settle()
    assert [[closing_row(c) for c in run.closings(p)] for p in range(PARTITIONS)] == [
        o.closings for o in expected
    ]
    examples = sorted((e.example_id, e.label, e.label_ts_ms) for e in run.examples())
    assert examples == sorted(row for o in expected for row in o.examples)
    counts = run.counts()
    assert counts["predictions"] == 400 == sum(counts[n] for n in ("matched", "negative", "censored"))
    ended = ("applied", "duplicate", "parked", "orphan", "late")
    assert counts["outcomes"] == sum(isinstance(e, O) for e in log) == sum(counts[n] for n in ended)
    told = run.read_marks(run.names["examples"], 0)
    assert {mark.partitions for mark in told} == {PARTITIONS}
    for partition in range(PARTITIONS):
        of_partition = [mark.time_ms for mark in told if mark.partition == partition]
        assert_one_mark_per(PUBLISH, of_partition, until=log[-1].ts)
        assert_one_mark_per(REFRESH, run.marks(run.names["closings"], partition), until=log[-1].ts)
    assert run.join.stop() == 0
    archived = read_examples(run.folder / "archive" / "delays")
    assert archived["example_id"].to_pylist() == [e.example_id for e in run.examples()]


@pytest.mark.parametrize("rounds", [4, pytest.param(60, marks=pytest.mark.faults)])
def test_a_join_killed_at_random_moments_neither_loses_nor_doubles(
    loop: Callable[..., Loop], rounds: int
) -> None:
    chance = random.Random(3)
    log = a_log(120 * rounds, seed=11)
    run, expected = loop(), oracles(log, "first", "negative")
    share = len(log) // rounds + 1
    for start in range(0, len(log), share):
        part = log[start : start + share]
        run.send_slowly(part[:10])
        run.wait_for_life()
        killed_after = chance.randrange(10, len(part))
        run.send_slowly(part[10:killed_after])
        run.join.kill()
        run.send_slowly(part[killed_after:])
        run.join.start()
    run.settle()
    for partition, oracle in enumerate(expected):
        assert sorted(map(closing_row, run.closings(partition))) == sorted(oracle.closings)
    examples = sorted((e.example_id, e.label, e.label_ts_ms) for e in run.examples())
    assert examples == sorted(row for o in expected for row in o.examples)
    total = {
        name: sum(o.counts()[name] for o in expected)
        for name in ("matched", "negative", "applied", "outcomes")
    }
    assert {name: run.counts()[name] for name in total} == total
    assert run.join.stop() == 0
    archived = read_examples(run.folder / "archive" / "delays")
    assert archived["example_id"].to_pylist() == [e.example_id for e in run.examples()]


def test_outcomes_come_out_of_event_topics_with_their_marks(loop: Callable[..., Loop]) -> None:
    run = loop()
    topic = run.plan.sources[0].topic
    for n in range(20):
        run.send_event(P(f"p{n}", f"k{n}", 100 + n))
        label = None if n == 5 else n % 2 == 0
        value = encode_confluent(SCHEMA, 1, {"flight": f"k{n}", "late": label, "at": 200 + n})
        run.send(topic, n % PARTITIONS, value, key=f"k{n}".encode(), timestamp=200 + n)
    run.send(topic, 0, b"not avro", timestamp=210)
    run.send(topic, 0, None, mark_headers(5000), timestamp=5000)
    run.send(topic, 1, None, mark_headers(4000), timestamp=4000)
    run.send_event(M("predictions", 6000))
    run.producer.flush()
    ProgressStore(run.redis, run.plan).wait(topic, run.sent[topic], until="examples", timeout_s=PATIENCE_S)
    run.wait(("predictions",))
    assert {e.prediction.key: e.label for e in run.examples() if e.label_ts_ms < 1000} == {
        f"k{n}": float(n % 2 == 0) for n in range(20) if n != 5
    }
    statuses = {c.prediction.key: c.status for p in range(PARTITIONS) for c in run.closings(p)}
    assert statuses == {f"k{n}": "negative" if n == 5 else "matched" for n in range(20)}
    for partition in range(PARTITIONS):
        marks = run.read_marks(run.names["outcomes"], partition)
        assert sorted(marks, key=lambda mark: mark.time_ms) == [Mark(4000, 1, 2), Mark(5000, 0, 2)]
        assert run.marks(run.names["closings"], partition)[-1] == 4000
    raw: Any = run.redis.hget(counts_key(run.plan.project), f"outcomes|delays|{topic}|0")
    assert json.loads(raw)["malformed"] == 1


def test_a_record_that_cannot_be_read_is_a_dead_letter(
    loop: Callable[..., Loop],
) -> None:
    run = loop(orphan_letters=True)
    run.send(run.names["predictions"], 0, b"{}")
    run.send(run.names["outcomes"], 0, b'{"outcome_id": "o", "key": "a", "label": NaN, "ts_ms": 1}')
    run.send_event(O("lonely", "nobody", 100, 1.0))
    for source in ("predictions", "outcomes"):
        run.send_event(M(source, 5000))
    run.settle()
    assert sorted((dead_letter.kind, dead_letter.topic) for dead_letter in run.dead_letters()) == [
        ("malformed", run.names["outcomes"]),
        ("malformed", run.names["predictions"]),
        ("orphan", run.names["outcomes"]),
    ]
    counts = run.counts()
    assert (counts["malformed"], counts["orphan"], counts["outcomes"]) == (2, 1, 1)
