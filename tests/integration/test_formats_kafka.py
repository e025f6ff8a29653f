"""Formats on real Kafka: writer schemas from a real registry, JSON, poison, a registry that is away."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.schemas.avro import encode_confluent
from headrace.streams.progress import counts_key
from headrace.testing import SchemaRegistryStandIn
from tests.support.nursery import Forked
from tests.support.purchases import EVENT_SCHEMA
from tests.support.registry_client import register
from tests.support.waiting import PATIENCE_S, eventually
from tests.support.window_oracle import OracleEvent
from tests.support.worker_scene import PARTITIONS, Scene, dead_letters_of, random_event

Encode = Callable[[dict[str, Any]], bytes]

MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
AMOUNT = {"name": "amount", "type": ["null", "double"], "default": None}
PIECES = {"name": "items", "type": ["null", "int"], "aliases": ["pieces"]}


def record(*fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": "Purchase", "fields": list(fields)}


def field(name: str, kind: Any) -> dict[str, Any]:
    return {"name": name, "type": kind}


READER = record(
    field("user", ["null", "long"]),
    field("shop", ["null", "string"]),
    field("event_ms", ["null", MILLIS]),
    AMOUNT,
    PIECES,
)
# Reordered, null last, fields the reader does not know, one of them an array of maps.
WIDER = record(
    field("tags", {"type": "array", "items": {"type": "map", "values": "string"}}),
    field("items", ["int", "null"]),
    field("event_ms", MILLIS),
    field("amount", ["double", "null"]),
    field("shop", "string"),
    field("user", ["null", "int", "long"]),
)
# Of another name, promoted, and recursive: beyond the columnar decoder.
RECURSIVE = record(
    field("before", ["null", "Purchase"]), field("pieces", ["null", "int"]), field("user", "int"),
    field("shop", "bytes"), field("event_ms", "long"), field("amount", ["null", "float"]),
)  # fmt: skip
# Without the amount: events that have none.
OLDER = record(
    field("user", "long"),
    field("pieces", ["null", "int"]),
    field("shop", "string"),
    field("event_ms", MILLIS),
)
IMPOSSIBLE = record(
    field("user", "string"), field("shop", "string"), field("event_ms", MILLIS), field("items", "int")
)
JSON_SCHEMA = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}


class FormatScene(Scene):
    """A scene whose events are encoded in ways of its own, and whose workers know a registry."""

    encodings: list[Encode]
    poison: list[bytes]

    def read_as(self, **changes: Any) -> None:
        source = self.plan.sources[0].model_copy(update=changes)
        self.plan = self.plan.model_copy(update={"sources": (source,)})
        self.plan_file.write_text(self.plan.to_json())

    def produce(self, partition: int, event: OracleEvent) -> None:
        if event.mark_ms is not None:
            super().produce(partition, event)
            return
        self.logs[partition].append(event)
        offset = event.offset
        value = (
            self.poison[offset % len(self.poison)]
            if event.broken
            else self._encode(offset, event.fields or {})
        )
        topic = self.plan.sources[0].topic
        self._producer.produce(topic, value, b"k", partition, timestamp=event.appended_ms)
        self._producer.poll(0)

    def _encode(self, offset: int, fields: dict[str, Any]) -> bytes:
        return self.encodings[offset % len(self.encodings)](fields)

    def produce_poisoned(self, rng: random.Random, count: int) -> None:
        """Random events, one in six broken: poison is first, last, and next to poison in ranges."""
        for _ in range(count):
            partition = rng.randrange(PARTITIONS)
            offset, now = len(self.logs[partition]), 1_700_000_000_000 + sum(map(len, self.logs)) * 2
            event = random_event(rng, partition, offset, now)
            broken = rng.random() < 1 / 6 or offset == 0
            self.produce(partition, OracleEvent(offset, now, broken=True) if broken else event)
        self._producer.flush()

    def assert_survives_a_kill(self, worker: Forked, rng: random.Random) -> None:
        worker.send_signal(signal.SIGKILL)
        self.start_worker()
        self.produce_poisoned(rng, 500)
        self.wait()
        self.assert_equals_oracle()
        self.assert_poison_is_told()

    def assert_poison_is_told(self) -> None:
        self.assert_counts_equal_oracle()
        dead_letters = dead_letters_of(self.bootstrap, self.plan, self.plan.topics.dead_letters)
        broken = {(p, e.offset) for p, log in enumerate(self.logs) for e in log if e.broken}
        assert {(one.partition, one.offset) for one in dead_letters if one.kind == "malformed"} == broken


@pytest.fixture
def scene(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Iterator[FormatScene]:
    made = FormatScene(kafka_bootstrap, redis_url, project, tmp_path)
    yield made
    made.stop()


def avro(schema: dict[str, Any], schema_id: int, **changes: Callable[[Any], Any]) -> Encode:
    text = json.dumps(schema)

    def encode(fields: dict[str, Any]) -> bytes:
        values = {"tags": [{"k": "v"}], "note": "n", "before": None, "pieces": fields["items"], **fields}
        return encode_confluent(
            text, schema_id, values | {n: change(values[n]) for n, change in changes.items()}
        )

    return encode


def either(without_amount: Encode, other: Encode) -> Encode:
    return lambda fields: (without_amount if fields["amount"] is None else other)(fields)


def header(schema_id: int) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big")


def test_schemas_of_a_real_registry_mix_in_one_range(scene: FormatScene, registry_url: str) -> None:
    subject = f"{scene.plan.sources[0].topic}-value"
    schemas = {"wider": WIDER, "recursive": RECURSIVE, "older": OLDER, "impossible": IMPOSSIBLE}
    ids = {name: register(registry_url, f"{subject}-{name}", schema) for name, schema in schemas.items()}
    no_avro = register(registry_url, f"{subject}-json", JSON_SCHEMA, "JSON")
    scene.registry = registry_url
    scene.read_as(reader_schema=json.dumps(READER), writer_schemas={2_000_000_007: EVENT_SCHEMA})
    wider = avro(WIDER, ids["wider"])
    older = avro(OLDER, ids["older"])
    recursive = avro(RECURSIVE, ids["recursive"], shop=str.encode)
    known = avro(json.loads(EVENT_SCHEMA), 2_000_000_007)
    scene.encodings = [known, wider, either(older, known), either(recursive, wider)]
    scene.poison = [
        header(ids["impossible"]) + b"\x02",
        header(no_avro) + b"\x02",
        header(4_000_000_000) + b"\x02",
        b"\0\0\0",
        header(ids["wider"]) + b"\x80" * 8 + b"\x20",
        header(ids["recursive"]) + b"\xff" * 20,
        b"{}",
    ]
    scene.produce_poisoned(random.Random(11), 1500)
    worker = scene.start_worker()
    scene.produce_poisoned(random.Random(12), 500)
    scene.wait()
    scene.assert_survives_a_kill(worker, random.Random(13))


def test_json_events_give_the_rows_of_the_oracle(scene: FormatScene) -> None:
    scene.read_as(format="json", reader_schema=json.dumps(READER), writer_schemas={})
    scene.encodings = [
        lambda fields: json.dumps(fields, separators=(",", ":")).encode(),
        lambda fields: json.dumps({"x": [1, {"user": 5}], **fields}, indent=2, ensure_ascii=False).encode(),
        lambda fields: json.dumps({k: v for k, v in fields.items() if v is not None}).encode(),
    ]
    scene.poison = [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"user": "1"}',
        b'{"items": 3000000000}',
        b'{"amount": NaN}',
        b"\xef\xbb\xbf{}",
        b'{"shop": "\xff"}',
        b"[" * 10_000,
        b'{"user": 1}, {"user": 2}',
        b'{"event_ms": "yesterday"}',
        b"\0\0\0\0\x07",
    ]
    worker = scene.start_worker()
    scene.produce_poisoned(random.Random(21), 1500)
    scene.wait()
    scene.assert_survives_a_kill(worker, random.Random(22))


def test_a_registry_that_is_away_holds_records_back_and_nothing_is_lost(scene: FormatScene) -> None:
    scene.read_as(reader_schema=json.dumps(READER), writer_schemas={1: json.dumps(READER)})
    scene.encodings, scene.poison = [avro(READER, 1), avro(WIDER, 2)], [b"{}"]
    patient = {"session_timeout_ms": 60_000}  # no rebalance but those that are meant, however slow all is
    with SchemaRegistryStandIn({2: WIDER}) as registry:
        scene.registry, registry.failing = registry.url, 503
        worker = scene.start_worker(**patient)
        scene.produce_poisoned(random.Random(31), 300)
        wait_until_records_wait(scene, worker)
        assert worker.poll() is None
        assert_nothing_is_applied_beyond_what_waits(scene)
        worker.send_signal(signal.SIGTERM)  # it does not wait for the registry
        assert worker.wait(PATIENCE_S) == 0
        workers = [scene.start_worker(**patient)]
        wait_until_records_wait(scene, workers[0])
        workers.append(scene.start_worker(**patient))  # nor does the rebalance
        half = PARTITIONS  # of the topic's partitions and the shards together
        eventually(lambda: scene.told(workers[1], ": restored "), "a restore", lambda told: told >= half)
        assert_nothing_is_applied_beyond_what_waits(scene)
        registry.failing = None
        scene.wait()
        assert [worker.poll() for worker in workers] == [None, None]
        asked = len(registry.asked)
        scene.produce_poisoned(random.Random(32), 300)
        scene.wait()
        assert len(registry.asked) == asked  # an id is asked for once
    scene.assert_equals_oracle()
    scene.assert_poison_is_told()


def wait_until_records_wait(scene: FormatScene, worker: Forked) -> None:
    waits = "records of schema id 2 wait"
    eventually(lambda: scene.told(worker, waits), "records that wait", lambda told: told >= 3)


def assert_nothing_is_applied_beyond_what_waits(scene: FormatScene) -> None:
    """Ranges may be as small as they like: none with a record of schema 2 is taken, and none behind it."""
    stored = scene.redis.hgetall(counts_key(scene.plan.project))
    for partition, log in enumerate(scene.logs):
        waits = next(e.offset for e in log if e.fields and not e.broken and e.offset % 2 == 1)
        counts = json.loads(stored.get(f"intake|{scene.plan.sources[0].topic}|{partition}".encode(), "{}"))
        assert sum(counts.values()) <= waits
