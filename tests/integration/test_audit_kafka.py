"""The audit out of Kafka: times as text, schemas of a registry, and records that nobody can read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from headrace.deploy.commands.audit import audit, render
from headrace.schemas.errors import ServiceUnavailable
from headrace.schemas.records import Prediction
from headrace.streams.connections.schema_registry import RegistryAccess
from headrace.streams.log.records import LogRecord
from headrace.streams.runtime.registry_lookup import RegistryLookup
from headrace.testing import SchemaRegistryStandIn
from tests.support.audit_scene import Scene, assert_all_equal
from tests.support.event_formats import FORMATS, REGISTRY, event
from tests.support.kafka_topics import make_topic

FOREVER = {"retention.ms": "-1"}


@pytest.fixture
def registry() -> Iterator[SchemaRegistryStandIn]:
    with SchemaRegistryStandIn(REGISTRY) as stand_in:
        yield stand_in


def publish(bootstrap: str, topic: str, records: list[LogRecord]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    for record in records:
        producer.produce(
            topic, record.value, record.key, 0, timestamp=record.timestamp, headers=[*record.headers]
        )
    producer.flush()


def published(bootstrap: str, project: str, name: str, registry: SchemaRegistryStandIn) -> Scene:
    """A stream and what a router served from it, both in Kafka."""
    form = FORMATS[name]
    values = [*(form.encode(event(number)) for number in range(60)), b"\xff", b"", form.encode(event(1))[:-2]]
    records = [form.record(offset, value) for offset, value in enumerate(values)]
    scene = Scene(form.plan(project, shards=0), [records], RegistryLookup(registry.url).supply)
    scene.drain(25)
    for user in range(3):
        scene.predict(user, "a")
    served = [LogRecord(n, 0, b"k", _json(each)) for n, each in enumerate(scene.predictions)]
    served += [LogRecord(3, 0, b"k", b"{}"), LogRecord(4, 0, b"k", b"\xff"), LogRecord(5, 0, b"k", None)]
    router = scene.plan.topics.router("delays")
    for topic, log in ((scene.source.topic, records), (router.predictions, served)):
        make_topic(bootstrap, topic, 1, FOREVER)
        publish(bootstrap, topic, log)
    return scene


def _json(prediction: Prediction) -> bytes:
    return prediction.model_dump_json().encode()


@pytest.mark.parametrize("name", ["json, times as text", "avro, schema of the registry"])
def test_what_the_worker_read_is_audited(
    kafka_bootstrap: str,
    project: str,
    registry: SchemaRegistryStandIn,
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = published(kafka_bootstrap, project, name, registry)
    report = audit(kafka_bootstrap, scene.plan, "delays", 100, registry=RegistryAccess(registry.url))
    assert_all_equal(report, scene)
    assert "records of source 'purchases': 60 applied, 0 late, 3 dead, 0 marks" in render(report)
    assert "2 records are no predictions, and are left out" in caplog.text


def test_without_an_answer_of_the_registry_there_is_no_audit(
    kafka_bootstrap: str, project: str, registry: SchemaRegistryStandIn
) -> None:
    scene = published(kafka_bootstrap, project, "avro, schema of the registry", registry)
    registry.failing = 503
    with pytest.raises(ServiceUnavailable, match="answers 503"):
        audit(kafka_bootstrap, scene.plan, "delays", 100, registry=RegistryAccess(registry.url))
