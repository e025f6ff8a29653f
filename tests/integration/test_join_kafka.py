"""The join process on real Kafka and Redis: counted, in order, exactly once under kill -9."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import pytest
import redis
from confluent_kafka import Producer

from deploy.child import Child
from deploy.topics_admin import ensure_topics
from schemas import topics
from schemas.avro import encode_confluent
from schemas.marks import mark_headers, mark_time_ms
from schemas.plan import Plan
from schemas.records import Closing, DeadLetter, Example
from streams.archive import read_examples
from streams.log_reader import read_log
from streams.partitioning import partition_for
from streams.progress import ProgressStore, counts_key
from tests.parity.join_oracle import M, O, Oracle, P
from tests.streams.join_builders import a_prediction, a_router, an_outcome

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).resolve().parents[2]
WAIT = 1000
PARTITIONS = 2
SCHEMA = json.dumps(
    {
        "type": "record",
        "name": "Arrival",
        "fields": [
            {"name": "flight", "type": "string"},
            {"name": "late", "type": ["null", "boolean"]},
            {"name": "at", "type": "long"},
        ],
    }
)
RUN = """
import logging
import sys
from pathlib import Path
from schemas.plan import Plan
from streams.join_app import JoinApp, JoinConfig
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
plan, bootstrap, redis_url, archive = sys.argv[1:]
config = JoinConfig(instance_id="join-0", archive=Path(archive), checkpoint_ms=50, checkpoint_records=40)
JoinApp(Plan.from_json(Path(plan).read_text()), bootstrap, redis_url, config).run()
"""


def a_plan(project: str, duplicates: str, missing: str) -> Plan:
    source = {
        "name": "arrivals",
        "topic": f"{project}.arrivals",
        "reader_schema": SCHEMA,
        "writer_schemas": {1: SCHEMA},
        "timestamp_field": "at",
        "key_field": "flight",
        "tile_ms": 1000,
        "late_tiles": 1,
        "max_future_ms": 60_000,
        "shards": 0,
    }
    outcome = {"source": "arrivals", "key_field": "flight", "label_field": "late"}
    more = {"partitions": PARTITIONS, "duplicates": duplicates, "missing": missing, "outcome": outcome}
    router = a_router(WAIT, **more).model_dump()
    return Plan.model_validate({"project": project, "sources": [source], "routers": [router]})


class Loop:
    """A plan's topics, a producer for its inputs, and the join as a child process."""

    def __init__(self, plan: Plan, bootstrap: str, redis_url: str, folder: Path) -> None:
        self.plan, self.bootstrap, self.folder = plan, bootstrap, folder
        self.redis = redis.Redis.from_url(redis_url)
        self.names = {
            kind: getattr(topics, kind)(plan.project, "delays")
            for kind in ("predictions", "outcomes", "examples", "closings")
        }
        ensure_topics(bootstrap, plan, event_partitions=PARTITIONS)
        (folder / "plan.json").write_text(plan.to_json())
        command = [sys.executable, "-c", RUN, str(folder / "plan.json"), bootstrap, redis_url]
        self.join = Child("join", [*command, str(folder / "archive")], folder / "join.log", ROOT)
        self.producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 1})
        self.sent: dict[str, dict[int, int]] = {}
        self.store = ProgressStore(self.redis, plan)
        self.seen = self.store.read()

    def send(self, topic: str, partition: int, value: bytes | None, headers: Any = (), **more: Any) -> None:
        self.producer.produce(
            topic, value, partition=partition, headers=list(headers), on_delivery=self._delivered, **more
        )
        self.producer.poll(0)

    def _delivered(self, error: Any, message: Any) -> None:
        assert error is None
        self.sent.setdefault(message.topic(), {})[message.partition()] = message.offset() + 1

    def send_event(self, event: P | O | M) -> None:
        if isinstance(event, M):
            for partition in range(PARTITIONS):
                self.send(self.names[event.source], partition, None, mark_headers(event.ts))
            return
        key = event.key.encode()
        kind = "predictions" if isinstance(event, P) else "outcomes"
        record = (
            a_prediction(event.id, event.key, event.ts)
            if isinstance(event, P)
            else an_outcome(event.id, event.key, event.ts, event.label)
        )
        self.send(self.names[kind], partition_for(key, PARTITIONS), record.to_bytes(), key=key)

    def send_slowly(self, events: Sequence[P | O | M]) -> None:
        """So that the join reads many small ranges, and makes many checkpoints."""
        for event in events:
            self.send_event(event)
            self.producer.flush()

    def wait_for_life(self) -> None:
        """Until the join has made progress since the last call."""
        self.join.wait_until(lambda: self.store.read() != self.seen, 60)
        self.seen = self.store.read()

    def wait(self, kinds: tuple[str, ...] = ("predictions", "outcomes")) -> None:
        """Until everything sent to these topics is in the outputs; fails when the join has died."""
        self.producer.flush()
        wanted = {(self.names[k], p): end for k in kinds for p, end in self.sent[self.names[k]].items()}

        def ready() -> bool:
            found = self.store.read()
            return all(
                ("join", *w, "") in found and found["join", *w, ""].next_offset >= n
                for w, n in wanted.items()
            )

        self.join.wait_until(ready, 60)

    def read(self, topic: str, partition: int) -> list[Any]:
        return list(read_log(self.bootstrap, topic, partition))

    def examples(self) -> list[Example]:
        messages = self.read(self.names["examples"], 0)
        return [Example.model_validate_json(m.value()) for m in messages if m.value() is not None]

    def closings(self, partition: int) -> list[Closing]:
        messages = self.read(self.names["closings"], partition)
        return [Closing.model_validate_json(m.value()) for m in messages if m.value() is not None]

    def marks(self, topic: str, partition: int) -> list[int]:
        times = (mark_time_ms(m.headers()) for m in self.read(topic, partition) if m.value() is None)
        return [time_ms for time_ms in times if time_ms is not None]

    def letters(self) -> list[DeadLetter]:
        name = topics.dead_letters(self.plan.project)
        return [DeadLetter.model_validate_json(m.value()) for m in self.read(name, 0)]

    def counts(self) -> dict[str, int]:
        raw: Any = self.redis.hgetall(counts_key(self.plan.project))
        total: dict[str, int] = {}
        for name, value in raw.items():
            if name.startswith(b"join|"):
                for what, n in json.loads(value).items():
                    total[what] = total.get(what, 0) + n
        return total


@pytest.fixture
def loop(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Iterator[Callable[..., Loop]]:
    started: list[Loop] = []

    def start(duplicates: str = "first", missing: str = "negative") -> Loop:
        started.append(Loop(a_plan(project, duplicates, missing), kafka_bootstrap, redis_url, tmp_path))
        started[-1].join.start()
        return started[-1]

    yield start
    for one in started:
        one.join.kill()


def a_log(count: int, seed: int) -> list[P | O | M]:
    """Predictions with outcomes that are early, in time, late, repeated, or missing, and marks of both."""
    chance = random.Random(seed)
    timed: list[tuple[float, P | O | M]] = []
    for n in range(count):
        ts, key = n * 10, f"k{n - n % chance.choice([1, 1, 1, 2])}"
        timed.append((ts, P(f"p{n}", key, ts)))
        for repeat in range(chance.choice([0, 1, 1, 1, 2])):
            delay = chance.choice([-300, 100, 500, 900, 1500, 2500])
            outcome = O(f"o{n}-{repeat}", key, max(ts + delay, 0), float(chance.randint(0, 1)))
            timed += [(outcome.ts, outcome)] * chance.choice([1, 1, 1, 2])
    for time_ms in range(0, count * 10, 500):
        timed += [(time_ms + 0.5, M(source, time_ms)) for source in ("predictions", "outcomes")]
    ordered = [event for _, event in sorted(timed, key=lambda pair: pair[0])]
    return [*ordered, M("predictions", count * 10 + 20_000), M("outcomes", count * 10 + 20_000)]


def oracles(log: list[P | O | M], duplicates: str, missing: str) -> list[Oracle]:
    """One oracle per partition, fed with copies, since an oracle marks its events."""
    each = [Oracle(WAIT, missing, duplicates) for _ in range(PARTITIONS)]
    for event in log:
        for partition, oracle in enumerate(each):
            if isinstance(event, M) or partition_for(event.key.encode(), PARTITIONS) == partition:
                oracle.step(copy(event))
    return each


def closing_row(closing: Closing) -> tuple[str, str, float | None, int | None]:
    return closing.prediction.prediction_id, closing.status, closing.label, closing.label_ts_ms


@pytest.mark.parametrize("missing", ["negative", "drop"])
def test_examples_and_closings_equal_the_oracle_and_everything_is_counted(
    loop: Callable[..., Loop], missing: str
) -> None:
    log = a_log(400, seed=7)
    run, expected = loop(missing=missing), oracles(log, "first", missing)
    for event in log:
        run.send_event(event)
    run.wait()
    assert [[closing_row(c) for c in run.closings(p)] for p in range(PARTITIONS)] == [
        o.closings for o in expected
    ]
    examples = sorted((e.example_id, e.label, e.label_ts_ms) for e in run.examples())
    assert examples == sorted(row for o in expected for row in o.examples)
    counts = run.counts()
    assert counts["predictions"] == 400 == sum(counts[n] for n in ("matched", "negative", "censored"))
    ended = ("applied", "duplicate", "parked", "orphan", "late")
    assert counts["outcomes"] == sum(isinstance(e, O) for e in log) == sum(counts[n] for n in ended)
    last = log[-1].ts
    assert run.marks(run.names["examples"], 0)[-1] == last
    assert [run.marks(run.names["closings"], p)[-1] for p in range(PARTITIONS)] == [last] * PARTITIONS
    assert run.join.stop() == 0
    archived = read_examples(run.folder / "archive" / "delays")
    assert archived["example_id"].to_pylist() == [e.example_id for e in run.examples()]


@pytest.mark.parametrize("rounds", [10, pytest.param(60, marks=pytest.mark.faults)])
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
    run.wait()
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
    ProgressStore(run.redis, run.plan).wait(topic, run.sent[topic], until="examples", timeout_s=60)
    run.wait(("predictions",))
    assert {e.prediction.key: e.label for e in run.examples() if e.label_ts_ms < 1000} == {
        f"k{n}": float(n % 2 == 0) for n in range(20) if n != 5
    }
    statuses = {c.prediction.key: c.status for p in range(PARTITIONS) for c in run.closings(p)}
    assert statuses == {f"k{n}": "negative" if n == 5 else "matched" for n in range(20)}
    assert [run.marks(run.names["outcomes"], p)[-1] for p in range(PARTITIONS)] == [4000] * PARTITIONS
    raw: Any = run.redis.hget(counts_key(run.plan.project), f"outcomes|delays|{topic}|0")
    assert json.loads(raw)["malformed"] == 1


def test_a_record_that_cannot_be_read_is_a_dead_letter(
    loop: Callable[..., Loop],
) -> None:
    run = loop()
    run.send(run.names["predictions"], 0, b"{}")
    run.send(run.names["outcomes"], 0, b'{"outcome_id": "o", "key": "a", "label": NaN, "ts_ms": 1}')
    run.send_event(O("lonely", "nobody", 100, 1.0))
    for source in ("predictions", "outcomes"):
        run.send_event(M(source, 5000))
    run.wait()
    assert sorted((letter.kind, letter.topic) for letter in run.letters()) == [
        ("malformed", run.names["outcomes"]),
        ("malformed", run.names["predictions"]),
        ("orphan", run.names["outcomes"]),
    ]
    counts = run.counts()
    assert (counts["malformed"], counts["orphan"], counts["outcomes"]) == (2, 1, 1)
