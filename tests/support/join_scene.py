"""A scene for tests of the join: real servers, logs with an oracle, a join that can be killed."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any

import redis

from headrace.deploy.commands.topics import ensure_topics
from headrace.schemas.dead_letter import DeadLetter
from headrace.schemas.marks import Mark, mark_headers, read_mark
from headrace.schemas.plan import Plan
from headrace.schemas.records import Closing, Example
from headrace.streams.log.partitioner import partition_for
from headrace.streams.log.reader import log_bounds, read_log
from headrace.streams.progress import ProgressStore, counts_key
from tests.support.forked_child import ForkedChild
from tests.support.join_builders import a_prediction, a_router, an_outcome
from tests.support.join_oracle import M, O, Oracle, P
from tests.support.ordered_producer import ordered_producer
from tests.support.waiting import PATIENCE_S

WAIT = 1000
PARTITIONS = 2
REFRESH, PUBLISH = 500, 2000
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
    more |= {"refresh_ms": REFRESH, "publish_ms": PUBLISH}
    router = a_router(WAIT, **more).model_dump()
    return Plan.model_validate({"project": project, "sources": [source], "routers": [router]})


class Loop:
    """A plan's topics, a producer for its inputs, and the join as a child process: a module of this folder,
    with what else its configuration has."""

    def __init__(
        self,
        plan: Plan,
        bootstrap: str,
        redis_url: str,
        folder: Path,
        program: str = "join_process",
        **config: Any,
    ) -> None:
        self.plan, self.bootstrap, self.folder = plan, bootstrap, folder
        self.redis = redis.Redis.from_url(redis_url)
        self.names = {
            kind: getattr(plan.topics.router("delays"), kind)
            for kind in ("predictions", "outcomes", "examples", "closings")
        }
        ensure_topics(bootstrap, plan, event_partitions=PARTITIONS)
        (folder / "plan.json").write_text(plan.to_json())
        self._redis_url = redis_url
        self.join = self.make_join("join", program, **config)
        self.producer = ordered_producer(bootstrap, {"linger.ms": 1})
        self.sent: dict[str, dict[int, int]] = {}
        self.store = ProgressStore(self.redis, plan)
        self.seen = self.store.read()

    def make_join(self, name: str, program: str = "join_process", **config: Any) -> ForkedChild:
        """A join that is not started yet, with an archive of its own."""
        command = [
            f"tests.support.{program}",
            str(self.folder / "plan.json"),
            self.bootstrap,
            self._redis_url,
        ]
        archive = "archive" if name == "join" else f"archive-{name}"
        arguments = [str(self.folder / archive), json.dumps(config)]
        return ForkedChild(name, [*command, *arguments], self.folder / f"{name}.log")

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
        self.join.wait_until(lambda: self.store.read() != self.seen, 180)
        self.seen = self.store.read()

    def wait(self, kinds: tuple[str, ...] = ("predictions", "outcomes")) -> None:
        """Until everything sent to these topics is in the outputs; fails when the join has died."""
        self.producer.flush()
        self.join.wait_until(lambda: self.is_joined(kinds), PATIENCE_S)

    def is_joined(self, kinds: tuple[str, ...] = ("predictions", "outcomes")) -> bool:
        """Whether everything that these topics have taken is in the outputs, as progress tells."""
        wanted = {(self.names[k], p): end for k in kinds for p, end in self.sent[self.names[k]].items()}
        found = self.store.read()
        return all(
            ("join", *w, "") in found and found["join", *w, ""].next_offset >= n for w, n in wanted.items()
        )

    def settle(self) -> None:
        """Wait as `wait` does, and until consumers see what was committed.

        A commit is decided a moment before the broker has written its markers.
        """
        self.wait()
        outputs = [(self.names["examples"], 0), *((self.names["closings"], p) for p in range(PARTITIONS))]
        for topic, partition in outputs:
            end = log_bounds(self.bootstrap, topic, partition)[1]
            for _ in read_log(self.bootstrap, topic, partition, until=end):
                pass

    def read(self, topic: str, partition: int) -> list[Any]:
        return list(read_log(self.bootstrap, topic, partition))

    def examples(self) -> list[Example]:
        messages = self.read(self.names["examples"], 0)
        return [Example.model_validate_json(m.value()) for m in messages if m.value() is not None]

    def closings(self, partition: int) -> list[Closing]:
        messages = self.read(self.names["closings"], partition)
        return [Closing.model_validate_json(m.value()) for m in messages if m.value() is not None]

    def marks(self, topic: str, partition: int) -> list[int]:
        return [mark.time_ms for mark in self.read_marks(topic, partition)]

    def read_marks(self, topic: str, partition: int) -> list[Mark]:
        marks = (read_mark(m.headers()) for m in self.read(topic, partition) if m.value() is None)
        return [mark for mark in marks if mark is not None]

    def dead_letters(self) -> list[DeadLetter]:
        name = self.plan.topics.dead_letters
        return [DeadLetter.model_validate_json(m.value()) for m in self.read(name, 0)]

    def counts(self) -> dict[str, int]:
        raw: Any = self.redis.hgetall(counts_key(self.plan.project))
        total: dict[str, int] = {}
        for name, value in raw.items():
            if name.startswith(b"join|"):
                for what, n in json.loads(value).items():
                    total[what] = total.get(what, 0) + n
        return total


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


def assert_joined_like_the_oracle(run: Loop, log: list[P | O | M]) -> None:
    """Closings, examples and counts of a plan with duplicates "first" and missing "negative"."""
    expected = oracles(log, "first", "negative")
    for partition, oracle in enumerate(expected):
        closings = [
            (c.prediction.prediction_id, c.status, c.label, c.label_ts_ms) for c in run.closings(partition)
        ]
        assert closings == oracle.closings
    examples = sorted((e.example_id, e.label, e.label_ts_ms) for e in run.examples())
    assert examples == sorted(row for oracle in expected for row in oracle.examples)
    counts = run.counts()
    totals = {name: sum(oracle.counts()[name] for oracle in expected) for name in expected[0].counts()}
    assert {name: counts[name] for name in totals} == totals
