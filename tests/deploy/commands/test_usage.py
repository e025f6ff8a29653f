"""What `plan` knows of how much there is and how long it takes, on real Kafka and Redis."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from headrace.deploy.commands.apply import apply_plan, compile_project
from headrace.deploy.commands.usage import ProjectUsage
from headrace.deploy.settings import load_settings
from headrace.learners.models.pointers import ModelPointer, ModelPointers
from headrace.schemas.records import Example
from headrace.streams.event_producer import EventProducer
from tests.support.clicks_project import NOON_MS, make_clicks_project
from tests.support.feast_online import point_to
from tests.support.join_builders import a_prediction
from tests.support.kafka_topics import delete_records
from tests.support.ordered_producer import ordered_producer

CLICKS, EXAMPLES = 300, 150


@pytest.fixture
def usage(tmp_path: Path, kafka_bootstrap: str, redis_url: str, project: str) -> ProjectUsage:
    """Of a project with clicks and examples, whose definitions stay."""
    folder = make_clicks_project(tmp_path)
    config, features = folder / "feature_store.yaml", folder / "features.py"
    config.write_text(config.read_text().replace("project: clicks", f"project: {project}"))
    features.write_text(features.read_text().replace('topic="clicks"', f'topic="{project}.clicks"'))
    point_to(redis_url, folder)
    settings = load_settings(folder, kafka=kafka_bootstrap, redis=redis_url)
    plan = compile_project(folder).plan
    apply_plan(settings, plan)
    with EventProducer.from_plan(kafka_bootstrap, plan, "clicks") as clicks:
        for number in range(CLICKS):
            clicks.send({"user": f"u{number % 7}", "event_ms": NOON_MS + number, "price": 1})
    producer = ordered_producer(kafka_bootstrap, {})
    for number in range(EXAMPLES):
        prediction = a_prediction(f"p{number}", "u", NOON_MS, router="main", features={}, request={})
        example = Example(example_id=f"p{number}", prediction=prediction, label=1.0, label_ts_ms=NOON_MS)
        producer.produce(plan.topics.router("main").examples, example.model_dump_json().encode(), partition=0)
    producer.flush()
    client = redis.Redis.from_url(redis_url)
    topic = plan.topics.router("main").examples
    ModelPointers(client, project, plan=plan.hash).point(topic, {"plain": ModelPointer("1.5", EXAMPLES)})
    return ProjectUsage(client, plan, plan, settings, deletes_rows=True, asks_kafka=True)


def test_times_are_those_of_records_of_the_topics(
    usage: ProjectUsage, kafka_bootstrap: str, project: str
) -> None:
    assert usage.serving("plain") == "1.5"
    assert usage.serving("live") == ""
    assert (usage.seconds_to_learn("plain") or 0) > 0
    assert (usage.seconds_to_compute("clicks") or 0) > 0
    assert usage.deleted(f"{project}.clicks") == 0
    assert usage.logged("user_clicks").count == 0
    delete_records(kafka_bootstrap, f"{project}.clicks", {0: 5})
    assert usage.deleted(f"{project}.clicks") == 5


def test_where_kafka_is_not_asked_no_time_is_told(usage: ProjectUsage) -> None:
    silent = ProjectUsage(
        usage._client, usage._current, usage._wanted, usage._settings, deletes_rows=True, asks_kafka=False
    )
    assert silent.seconds_to_learn("plain") is None
    assert silent.seconds_to_compute("clicks") is None
