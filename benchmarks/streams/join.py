"""The join alone: examples a second under load, and from a label to its example while it waits.

Every prediction has one outcome. For the examples a second, a join that waits is sent all of both; the time
is from the first record sent to the last example read, and the CPU is that of the join. For the latency,
outcomes are sent one at a time, and a consumer of committed records waits for the example of each: first with
times that the predictions have passed, then with later ones, where no prediction comes and the join has to
write an order mark for each.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.streams.measure import usage_of
from benchmarks.streams.report import machine
from benchmarks.streams.servers import Servers, servers
from benchmarks.streams.topic_log import delete_topics, produce
from benchmarks.streams.workload import Record
from headrace.deploy.commands.topics import ensure_topics
from headrace.deploy.local.child import Child
from headrace.schemas.plan import Plan
from headrace.schemas.records import Example, Outcome, Prediction, Value
from headrace.schemas.router_specs import PolicySpec, RouterSpec
from headrace.streams.join.config import JoinConfig
from headrace.streams.join.process import JoinProcess
from headrace.streams.log.partitioner import partition_for
from headrace.streams.log.reader import open_consumer

_ROUTER, _PARTITIONS = "bench", 4
_FEATURES = 20
_LATER_MS = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams.join", description=__doc__)
    parser.add_argument("--examples", type=int, default=60_000, help="default 60,000")
    parser.add_argument("--labels", type=int, default=600, help="sent one at a time; default 600")
    parser.add_argument("--kafka", help="host:port of a running broker; else one is started")
    parser.add_argument("--redis", help="URL of a running Redis, an empty database; else one is started")
    parser.add_argument("--child", nargs=3, metavar=("PLAN", "KAFKA", "REDIS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        plan, kafka, redis_url = options.child
        JoinProcess(Plan.from_json(Path(plan).read_text()), kafka, redis_url, JoinConfig()).run()
        return
    print(machine())
    with servers(options.kafka, options.redis) as both:
        _measure(both, options.examples, options.labels)


def _measure(both: Servers, examples: int, labels: int) -> None:
    project = f"bench{uuid.uuid4().hex[:8]}"
    plan = Plan.model_validate({"project": project, "sources": [], "routers": [_router().model_dump()]})
    ensure_topics(both.kafka, plan, event_partitions=1)
    topics = plan.topics.router(_ROUTER)
    produce(both.kafka, topics.predictions, _predictions(examples, examples + labels))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "plan.json")
        file.write_text(plan.to_json())
        command = [
            sys.executable,
            "-m",
            "benchmarks.streams.join",
            "--child",
            str(file),
            both.kafka,
            both.redis,
        ]
        join = Child("join", command, Path(folder, "join.log"))
        join.start()
        try:
            consumer = _consumer(both.kafka, topics.examples)
            assert join.pid is not None
            print("label to example, committed and read:")
            half = examples + labels // 2
            _one_by_one(consumer, both.kafka, topics.outcomes, range(examples, half), 0)
            _one_by_one(consumer, both.kafka, topics.outcomes, range(half, examples + labels), _LATER_MS)
            predictions, outcomes = list(_predictions(0, examples)), list(map(_outcome, range(examples)))
            began, cpu_s = time.perf_counter(), usage_of({join.pid})[0]
            produce(both.kafka, topics.predictions, predictions)
            produce(both.kafka, topics.outcomes, outcomes)
            _read(consumer, examples)
            took_s, cpu_s = time.perf_counter() - began, usage_of({join.pid})[0] - cpu_s
            print(
                f"{examples:,} examples: {examples / took_s:,.0f}/s, {examples / cpu_s:,.0f} per CPU second"
            )
        finally:
            join.stop()
            delete_topics(both.kafka, project)


def _read(consumer: Consumer, examples: int) -> None:
    while examples > 0:
        messages = consumer.consume(5000, 1.0)
        examples -= sum(m.error() is None and m.value() is not None for m in messages)


def _one_by_one(consumer: Consumer, kafka: str, topic: str, numbers: range, later_ms: int) -> None:
    producer, waited_ms = Producer({"bootstrap.servers": kafka, "linger.ms": 0}), []
    for number in numbers:
        partition, key, value = _outcome(number, later_ms)
        began = time.perf_counter()
        producer.produce(topic, value, key, partition)
        producer.poll(0)
        while not _is_example(consumer.poll(1.0), f"p{number}"):
            pass
        waited_ms.append((time.perf_counter() - began) * 1000)
    p50, p99 = np.percentile(waited_ms[1:], [50, 99])  # the first waits for the start
    where = "behind the predictions" if later_ms else "among the predictions"
    print(f"  in event time {where}: p50 {p50:.0f} ms, p99 {p99:.0f} ms")


def _is_example(message: object, example_id: str) -> bool:
    value = message.value() if message is not None and message.error() is None else None  # type: ignore[attr-defined]
    return value is not None and Example.model_validate_json(value).example_id == example_id


def _consumer(kafka: str, topic: str) -> Consumer:
    consumer = open_consumer(kafka, fetch_wait_ms=10)
    consumer.assign([TopicPartition(topic, 0, 0)])
    return consumer


def _predictions(first: int, end: int) -> Iterator[Record]:
    features: dict[str, Value] = {f"view__feature_{n}": n / 7 for n in range(_FEATURES)}
    for number in range(first, end):
        key = f"k{number}"
        prediction = Prediction(
            prediction_id=f"p{number}", router=_ROUTER, key=key, unit=key, ts_ms=number,
            entities={"user": key}, request={}, features=features, provenance={}, scores={"m": 0.25},
            versions={"m": "1.0"}, epoch=0, propensities={"m": 1.0}, chosen="m", propensity=1.0,
            plan_hash="h",
        )  # fmt: skip
        yield partition_for(key.encode(), _PARTITIONS), key.encode(), prediction.to_bytes()


def _outcome(number: int, later_ms: int = 0) -> Record:
    key = f"k{number}"
    outcome = Outcome(outcome_id=f"o{number}", key=key, label=1.0, ts_ms=number + later_ms)
    return partition_for(key.encode(), _PARTITIONS), key.encode(), outcome.to_bytes()


def _router() -> RouterSpec:
    return RouterSpec(
        name=_ROUTER, arms=("m",), champion="m", target="label", unit="user", entities=("user",), request=(),
        outcome=None, wait_ms=3_600_000, policy=PolicySpec(), refresh_ms=60_000, publish_ms=0,
        partitions=_PARTITIONS, salt="s", default=0.5,
    )  # fmt: skip


if __name__ == "__main__":
    main()
