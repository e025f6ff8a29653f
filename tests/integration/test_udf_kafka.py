"""Filters and derived columns in running workers: a Feast repository with udfs, real Kafka, real Redis."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from featurestore.online_rebuild import RedisRebuildStore
from featurestore.repository import compile_features
from schemas import topics
from streams.progress import counts_key
from streams.rebuild import Rebuild
from tests.featurestore.conftest import CONFIG
from tests.integration.scene import PARTITIONS, Load, Scene, letters_of
from tests.parity.test_windows_parity import rules_of
from tests.parity.window_oracle import OracleEvent, judge
from tests.streams.plans import EVENT_SCHEMA

pytestmark = pytest.mark.kafka
START_MS = 1_700_000_000_000

FEATURES = '''
from datetime import timedelta

from feast import Entity, Field, FileSource, KafkaSource
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


def features(prefix, column, dtype):
    window, hop = timedelta(milliseconds=60), timedelta(milliseconds=10)
    return [
        Aggregation(column=column, function=f, name=f"{{prefix}}_{{f}}", time_window=window, slide_interval=hop)
        for f in ("count", "sum", "last")
    ], [Field(name=f"{{prefix}}_{{f}}", dtype=Int64 if f == "count" else dtype) for f in ("count", "sum", "last")]


def view(key, column, dtype):
    aggregations, fields = features(column, column, dtype)
    return dict(
        entities=[{{"user": user, "shop": shop}}[key]], ttl=timedelta(0), source=purchases, mode="pandas",
        timestamp_field="event_ms", schema=fields, aggregations=aggregations,
        tags={{"headrace.columns": "items, amount"}} | ({{"headrace.quantum": "net=0.01"}} if column == "net" else {{}}),
    )


@stream_feature_view(**view("user", "items", Int64))
def by_user(df):
    """Some have bought something; poison raises."""
    if (df["items"] == 9).any():
        raise ValueError("nine items")
    return df[df["items"] > 0]


@stream_feature_view(**view("shop", "net", Float64))
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
    (repo / "feature_store.yaml").write_text(CONFIG.format(project=project, connection="127.0.0.1:1"))
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


def test_poison_in_every_position_of_a_range_goes_to_the_dead_letters_and_nothing_else(scene: Scene) -> None:
    """Each range is flushed and waited for, so that it is one."""
    scene.start_worker()
    poison, offset = {}, 0
    for positions in [*({n} for n in range(5)), {0, 4}, {1, 2}, {0, 1, 2, 3, 4}, set()]:
        for at in range(5):
            fields = {"items": 9} if at % 2 else {"amount": 50.0}
            if at in positions:
                poison[offset] = (
                    "udf 'by_user': ValueError: nine" if at % 2 else "udf 'by_shop': OverflowError: 50"
                )
            scene.produce(0, event(offset, **(fields if at in positions else {})))
            offset += 1
        scene.flush()
        scene.wait()
    scene.assert_equals_oracle()
    assert counts(scene, 0) == {"applied": offset - len(poison), "late": 0, "dead": len(poison), "marks": 0}
    letters = {
        one.offset: one
        for one in letters_of(scene.bootstrap, scene.plan, topics.dead_letters(scene.plan.project))
    }
    assert letters.keys() == poison.keys()
    for at, letter in letters.items():
        assert letter.kind == "udf"
        assert poison[at] in letter.reason
        assert "view 'by_" in letter.reason


def test_rows_behind_udfs_survive_kill_9_and_a_lost_store(scene: Scene) -> None:
    rng = random.Random(4)
    worker = scene.start_worker()
    with Load(scene, rng):
        for _ in range(2):
            scene.wait_for_motion()
            scene.kill(worker)
            worker = scene.start_worker()
        scene.wait_for_motion()
    scene.wait()
    scene.assert_equals_oracle()
    judged = [judge(log, rules_of(scene.plan, ROWS)) for log in scene.logs]
    assert [counts(scene, n) for n in range(PARTITIONS)] == [one.counts for one in judged]
    assert any(one.counts["dead"] for one in judged)
    for key in scene.redis.scan_iter(f"*{scene.plan.project}*"):
        scene.redis.delete(key)
    store = RedisRebuildStore(scene.redis_url, scene.plan)
    Rebuild(scene.plan, scene.bootstrap, store, 2.0, 3_600_000, print).run()
    scene.assert_equals_oracle()
