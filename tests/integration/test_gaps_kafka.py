"""Event topics with offsets that no consumer sees: transactions and compaction, on the real broker."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from headrace.streams.log.reader import read_log
from tests.support.expected_rows import record_of
from tests.support.kafka_topics import make_topic
from tests.support.ordered_producer import ordered_producer
from tests.support.waiting import PATIENCE_S, eventually
from tests.support.window_oracle import OracleEvent
from tests.support.worker_scene import PARTITIONS, Scene, dead_letters_of, random_event

NOW_MS = 1_700_000_000_000
_COMPACTED = {
    "cleanup.policy": "compact",
    "retention.ms": "-1",
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0.001",
}


@pytest.fixture
def scene(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Iterator[Scene]:
    make_topic(kafka_bootstrap, f"{project}.purchases", PARTITIONS, _COMPACTED)
    made = Scene(kafka_bootstrap, redis_url, project, tmp_path)
    yield made
    made.stop()


def assert_equal_with_counts(scene: Scene) -> None:
    scene.wait()
    scene.assert_equals_oracle()
    scene.assert_counts_equal_oracle()


def send(scene: Scene, producer: Producer, event: OracleEvent, partition: int, key: bytes) -> None:
    record, topic = record_of(event), scene.plan.sources[0].topic
    headers = list(record.headers)
    producer.produce(topic, record.value, key, partition, timestamp=record.timestamp, headers=headers)


def test_aborted_records_never_count_and_markers_are_passed(scene: Scene) -> None:
    rng = random.Random(21)
    producer = Producer({"bootstrap.servers": scene.bootstrap, "transactional.id": scene.plan.project})
    producer.init_transactions(PATIENCE_S)
    scene.start_worker()
    ends = [0] * PARTITIONS
    for number in range(40):
        producer.begin_transaction()
        kept = rng.random() < 0.6
        used = set()
        for _ in range(rng.randrange(1, 30)):
            partition = rng.randrange(PARTITIONS)
            event = random_event(rng, partition, ends[partition], NOW_MS + 60 * number)
            key = f"{partition}-{ends[partition]}".encode()  # its own: nothing is to be compacted here
            send(scene, producer, event, partition, key)
            ends[partition] += 1
            used.add(partition)
            if kept:
                scene.logs[partition].append(event)
        producer.flush()
        (producer.commit_transaction if kept else producer.abort_transaction)(PATIENCE_S)
        for partition in used:
            ends[partition] += 1  # the marker
        if number == 20:
            scene.kill(scene.workers[-1])
            scene.start_worker()
    assert_equal_with_counts(scene)


def left_of(scene: Scene) -> list[list[OracleEvent]]:
    """What the topic still has of what the oracle knows."""
    topic = scene.plan.sources[0].topic
    offsets = [{m.offset() for m in read_log(scene.bootstrap, topic, p)} for p in range(PARTITIONS)]
    return [[e for e in log if e.offset in offsets[p]] for p, log in enumerate(scene.logs)]


def doubled_keys(scene: Scene) -> int:
    """How many records are left to the log cleaner: all with a key that comes again, but for the last one of
    a partition, whose segment is still open."""
    topic, found = scene.plan.sources[0].topic, 0
    for partition in range(PARTITIONS):
        keys = [message.key() for message in read_log(scene.bootstrap, topic, partition)][:-1]
        found += len(keys) - len(set(keys))
    return found


def test_compaction_leaves_gaps_that_are_passed(scene: Scene) -> None:
    """Also where a worker goes on: the records around its position are gone when it comes back."""
    rng = random.Random(22)
    producer = ordered_producer(scene.bootstrap)
    ends = [0] * PARTITIONS
    seen: list[list[OracleEvent]] = [[] for _ in range(PARTITIONS)]

    def append(partition: int, event: OracleEvent) -> None:
        if event.mark_ms is not None:  # without a value: to the cleaner a deletion
            event = OracleEvent(event.offset, event.appended_ms, broken=True)
        send(scene, producer, event, partition, b"%d" % rng.randrange(60))
        scene.logs[partition].append(event)
        ends[partition] += 1

    for number in range(2):
        scene.logs = [[] for _ in range(PARTITIONS)]
        for n in range(1800):
            partition = n % PARTITIONS
            append(partition, random_event(rng, partition, ends[partition], NOW_MS + 3000 * number + n))
        producer.flush()
        for partition in range(PARTITIONS):  # so much later that it begins a segment, and closes the others
            append(partition, random_event(rng, partition, ends[partition], NOW_MS + 3000 * number + 2500))
        producer.flush()
        eventually(lambda: doubled_keys(scene), "the log cleaner", lambda doubled: doubled == 0, 300)
        left = left_of(scene)
        assert sum(map(len, left)) < 0.2 * sum(map(len, scene.logs))
        scene.logs = seen = [before + log for before, log in zip(seen, left, strict=True)]
        scene.start_worker()
        assert_equal_with_counts(scene)
        scene.wait_for_checkpoint()  # the log does not have any more what the state was made of
        scene.kill(scene.workers[-1])


def test_poison_in_every_position_of_a_range(scene: Scene) -> None:
    scene.start_worker()
    size = 6
    producer = ordered_producer(scene.bootstrap, {"linger.ms": 5})
    for position in range(size):
        for n in range(size):
            offset = len(scene.logs[0])
            fields = {"user": 2 * n, "shop": "a", "event_ms": NOW_MS + offset, "amount": 1.0, "items": n}
            event = OracleEvent(
                offset, NOW_MS + offset, None if n == position else fields, None, n == position
            )
            send(scene, producer, event, 0, b"k%d" % offset)
            scene.logs[0].append(event)
        producer.flush()
        scene.wait()
    scene.assert_equals_oracle()
    worker = scene.workers[-1]
    worker.terminate()
    assert worker.wait(PATIENCE_S) == 0
    dead_letters = dead_letters_of(scene.bootstrap, scene.plan, scene.plan.topics.dead_letters)
    assert [dead_letter.offset for dead_letter in dead_letters] == [size * n + n for n in range(size)]
