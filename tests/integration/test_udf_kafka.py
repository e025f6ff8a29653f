"""Filters and derived columns in running workers: a Feast repository with udfs, real Kafka, real Redis."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.online.rebuild import RedisRebuildStore
from headrace.streams.progress import counts_key
from headrace.streams.worker.rebuild import Rebuild
from tests.support.expected_rows import rules_of
from tests.support.purchases import EVENT_SCHEMA
from tests.support.repository_config import repository_config
from tests.support.window_oracle import OracleEvent, judge
from tests.support.worker_scene import PARTITIONS, Scene, dead_letters_of

START_MS = 1_700_000_000_000
PATIENCE_S = 180.0  # such a worker imports Feast first

FEATURES = '''
from datetime import timedelta

from feast import Entity, Field, FileSource, KafkaSource, StreamFeatureView
from feast.aggregation import Aggregation
from feast.data_format import AvroFormat
from feast.stream_feature_view import stream_feature_view
from feast.types import Float64, Int64, String
from feast.value_type import ValueType

from prices import net

user = Entity(name="user", value_type=ValueType.INT64)
shop = Entity(name="shop", value_type=ValueType.STRING)
purchases = KafkaSource(
    name="purchases",
    topic="{project}.purchases",
    timestamp_field="event_ms",
    message_format=AvroFormat("""{schema}"""),
    watermark_delay_threshold=timedelta(milliseconds=200),
    batch_source=FileSource(name="log", path="data/log", timestamp_field="event_timestamp"),
    tags={{"headrace.key": "user", "headrace.schema_id": "7", "headrace.max_future": "10"}},
)


def view(entities, column, dtype, **tags):
    over = dict(time_window=timedelta(milliseconds=60), slide_interval=timedelta(milliseconds=10))
    types = {{"count": Int64, "sum": dtype, "last": dtype}}
    return dict(
        entities=entities,
        ttl=timedelta(0),
        source=purchases,
        timestamp_field="event_ms",
        schema=[Field(name=f"{{name}}_{{column}}", dtype=dtype) for name, dtype in types.items()],
        aggregations=[
            Aggregation(column=column, function=name, name=f"{{name}}_{{column}}", **over) for name in types
        ],
        tags=tags,
    )


GIVEN = {{"headrace.columns": "items, amount"}}
by_both = StreamFeatureView(name="by_both", **view([user, shop], "items", Int64))


@stream_feature_view(mode="pandas", **view([user], "items", Int64, **GIVEN))
def by_user(df):
    """Some have bought something; poison raises."""
    if (df["items"] == 9).any():
        raise ValueError("nine items")
    return df[df["items"] > 0]


@stream_feature_view(
    mode="pandas", **view([shop], "net", Float64, **{{"headrace.quantum": "net=0.01"}}, **GIVEN)
)
def by_shop(df):
    return df.assign(net=net(df["amount"])).sample(frac=1)
'''
PRICES = """
TAX = 0.25


def net(amount):
    if (amount > 49).any():
        raise OverflowError(f"{amount.max()} is more than we sell for")
    return amount - amount * TAX
"""


def by_user_row(event: dict) -> dict | None:
    if event["items"] == 9:
        raise ValueError
    return event if event["items"] is not None and event["items"] > 0 else None


def by_shop_row(event: dict) -> dict | None:
    if event["amount"] is not None and event["amount"] > 49:
        raise OverflowError
    return {**event, "net": None if event["amount"] is None else event["amount"] - event["amount"] * 0.25}


ROWS = {"by_user": by_user_row, "by_shop": by_shop_row}


@pytest.fixture
def scene(kafka_bootstrap: str, redis_url: str, project: str, tmp_path: Path) -> Iterator[Scene]:
    repo = tmp_path / "repo"
    (repo / "data").mkdir(parents=True)
    (repo / "features.py").write_text(FEATURES.format(project=project, schema=EVENT_SCHEMA))
    (repo / "prices.py").write_text(PRICES)
    (repo / "feature_store.yaml").write_text(repository_config(project))
    plan = compile_features(repo).plan()
    made = Scene(kafka_bootstrap, redis_url, project, tmp_path, plan, ROWS)
    yield made
    made.stop()


def event(offset: int, **fields: Any) -> OracleEvent:
    values = {"user": 0, "shop": "a", "event_ms": START_MS + offset, "amount": 1.0, "items": 1, **fields}
    return OracleEvent(offset, START_MS + offset, values)


def counts(scene: Scene, partition: int) -> Any:
    stored: Any = scene.redis.hgetall(counts_key(scene.plan.project))
    return json.loads(stored[f"intake|{scene.plan.sources[0].topic}|{partition}".encode()])


REASONS = {
    "items": "view 'by_user', udf 'by_user': ValueError: nine items",
    "amount": "view 'by_shop', udf 'by_shop': OverflowError: 50.0 is more than we sell for",
}
POSITIONS = [{0}, {1}, {2}, {3}, {4}, {0, 4}, {1, 2}, {0, 1, 2, 3, 4}, set()]


def test_poison_in_every_position_of_a_range_goes_to_the_dead_letters_and_nothing_else(scene: Scene) -> None:
    scene.start_worker()
    expected, offset = {}, 0
    for positions in POSITIONS:
        for at in range(5):
            poison = {"items": 9} if at % 2 else {"amount": 50.0}
            if at in positions:
                expected[offset] = REASONS[next(iter(poison))]
            scene.produce(0, event(offset, **(poison if at in positions else {})))
            offset += 1
        scene.flush()
        scene.wait()  # so that each is a range of its own
    scene.assert_equals_oracle()
    dead = len(expected)
    assert counts(scene, 0) == {"applied": offset - dead, "late": 0, "dead": dead, "marks": 0}
    dead_letters = dead_letters_of(scene.bootstrap, scene.plan, scene.plan.topics.dead_letters)
    assert {dead_letter.offset: dead_letter.reason for dead_letter in dead_letters} == expected
    assert {dead_letter.kind for dead_letter in dead_letters} == {"udf"}


def test_rows_behind_udfs_survive_kill_9_and_a_lost_store(scene: Scene) -> None:
    worker = scene.start_worker()
    scene.produce_random(random.Random(4), 2000)
    scene.wait_for_motion(PATIENCE_S)
    scene.kill(worker)
    scene.produce_random(random.Random(5), 1000)
    scene.start_worker()
    scene.wait()
    scene.assert_equals_oracle()
    judged = [judge(log, rules_of(scene.plan, ROWS)) for log in scene.logs]
    assert [counts(scene, n) for n in range(PARTITIONS)] == [one.counts for one in judged]
    assert all(one.counts["dead"] for one in judged)
    for key in scene.redis.scan_iter(f"*{scene.plan.project}*"):
        scene.redis.delete(key)
    store = RedisRebuildStore(scene.redis_url, scene.plan)
    Rebuild(scene.plan, scene.bootstrap, store, 2.0, 3_600_000, print).run()
    scene.assert_equals_oracle()
