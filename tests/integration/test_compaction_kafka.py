"""The cleaner of a real broker keeps a changelog near its live state."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from headrace.deploy.local.kafka_server import KafkaServer
from headrace.streams.columnar.keys import encode_key
from headrace.streams.log.producer import LogProducer
from headrace.streams.log.records import LogRecords
from headrace.streams.runtime.restoring import Restoring
from headrace.streams.runtime.topic_settings import COMPACT
from headrace.streams.state.partition import Entry
from headrace.streams.state.source_partition import SourcePartition
from headrace.streams.worker.restore import restore
from tests.support.kafka_topics import make_topic
from tests.support.one_user import a_log, a_plan
from tests.support.paths import ROOT
from tests.support.waiting import PATIENCE_S

KEYS, CHECKPOINTS, SEGMENT = 300, 60, 1 << 20
TOPIC = "changelog"


@pytest.fixture
def kafka(servers: None, tmp_path: Path) -> Iterator[KafkaServer]:
    server = KafkaServer(tmp_path / "kafka", cache=ROOT / ".cache" / "kafka")
    server.start()
    yield server
    server.stop()


def checkpoint() -> list[Entry]:
    """The state of many keys and a position; every value a few hundred bytes that do not compress away."""
    plan = a_plan()
    state = SourcePartition(plan, plan.sources[0], 0)
    state.process(LogRecords.of(a_log()))
    (key, value), *rest = state.snapshot()
    prefix = key.removesuffix(encode_key((7,)))
    return [*((prefix + encode_key((number,)), value) for number in range(KEYS)), *rest]


def on_disk(directory: Path) -> int:
    """Bytes of its segments; the broker may rename one, whose time has come, while they are counted."""
    sizes = []
    for file in directory.glob("*.log"):
        with suppress(FileNotFoundError):
            sizes.append(file.stat().st_size)
    return sum(sizes)


def test_after_many_rewrites_the_log_is_near_the_live_state_and_restores_the_same(
    kafka: KafkaServer, tmp_path: Path
) -> None:
    config = COMPACT | {"segment.bytes": str(SEGMENT), "compression.type": "uncompressed"}
    make_topic(kafka.bootstrap, TOPIC, 1, config)
    entries = checkpoint()
    live = sum(len(key) + len(value or b"") for key, value in entries)
    producer = LogProducer(kafka.bootstrap)
    for _ in range(CHECKPOINTS):
        producer.send_all(TOPIC, 0, entries)
        producer.flush_blocking()
    folder = tmp_path / "kafka" / "data" / f"{TOPIC}-0"
    bound, deadline = 3 * live + 2 * SEGMENT, time.monotonic() + PATIENCE_S
    assert CHECKPOINTS * live > 2 * bound
    while on_disk(folder) > bound:
        assert time.monotonic() < deadline, (on_disk(folder), bound)
        time.sleep(0.2)
    plan = a_plan()
    state, folded = (SourcePartition(plan, plan.sources[0], 0) for _ in range(2))
    read = restore(state, kafka.bootstrap, TOPIC, 0, Restoring())
    folded.restore(entries)
    assert read < CHECKPOINTS * len(entries) / 2
    assert state.next_offset == folded.next_offset
    for one in (*state.groups.values(), *folded.groups.values()):
        one.move(0)  # all of it is written again
    assert dict(state.snapshot()) == dict(folded.snapshot())
