"""`headrace healthy` and transactions of others, on real Kafka: what cannot be read is not waited for."""

from __future__ import annotations

import signal

from confluent_kafka import Producer

from headrace.deploy.commands.healthy import has_records, standstill
from headrace.deploy.commands.status import Status, read_status, topics_read
from headrace.streams.connections.kafka_admin import end_offsets
from tests.support.expected_rows import record_of
from tests.support.waiting import PATIENCE_S, eventually
from tests.support.window_oracle import OracleEvent
from tests.support.worker_scene import Scene


def status_of(scene: Scene) -> Status:
    ends = end_offsets(scene.bootstrap, topics_read(scene.plan), committed=True)
    return read_status(scene.redis, scene.plan, ends)


def alarm(scene: Scene) -> str | None:
    """What is said of a worker that has been silent, for however short a time."""
    return standstill(status_of(scene), "worker", 0.0, lambda stages: has_records(scene.bootstrap, stages))


def event(offset: int) -> OracleEvent:
    now = 1_700_000_000_000 + offset
    fields = {"user": 2, "shop": "a", "event_ms": now, "amount": 1.0, "items": 1}
    return OracleEvent(offset, now, fields)


def test_records_of_an_open_transaction_and_its_markers_are_no_standstill(scene: Scene) -> None:
    topic = scene.plan.sources[0].topic
    worker = scene.start_worker()
    scene.produce(0, event(0))
    scene.flush()
    scene.wait()
    assert alarm(scene) is None
    other = Producer(
        {"bootstrap.servers": scene.bootstrap, "transactional.id": scene.plan.project, "log_level": 0}
    )
    other.init_transactions(PATIENCE_S)

    def begin() -> None:
        other.begin_transaction()
        other.produce(topic, record_of(event(1)).value, partition=0)
        assert other.flush(PATIENCE_S) == 0

    begin()
    readable = end_offsets(scene.bootstrap, [topic], committed=True)[topic, 0]
    assert end_offsets(scene.bootstrap, [topic])[topic, 0] > readable
    assert alarm(scene) is None
    other.abort_transaction(PATIENCE_S)
    eventually(lambda: [stage.lag for stage in status_of(scene).stages], "what was aborted to count", any)
    assert alarm(scene) is None  # that, and the marker behind it, no consumer sees
    worker.send_signal(signal.SIGSTOP)
    begin()
    assert alarm(scene) is None
    other.commit_transaction(PATIENCE_S)
    eventually(lambda: alarm(scene), "a record that can be read, and a worker that stands")
    worker.send_signal(signal.SIGCONT)
    eventually(lambda: alarm(scene), "the worker to move", lambda said: said is None)
