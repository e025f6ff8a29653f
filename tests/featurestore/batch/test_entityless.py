"""Views without entities: one row, under the key that Feast gives it, and read by any row that asks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis

from headrace.featurestore.batch import table
from headrace.featurestore.batch.materialize import materialize
from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.field_status import FieldStatus
from headrace.featurestore.online.async_client import AsyncFeatureClient
from headrace.featurestore.online.client import FeatureClient
from headrace.featurestore.plans.usage import RedisPlanUsage
from headrace.featurestore.redis_codec.column_encoder import ViewEncoder
from tests.support.feast_online import connection_string, taken_from_both
from tests.support.repository_config import repository_config

DEFINITIONS = """
from datetime import timedelta
from feast import FeatureService, FeatureView, Field, FileSource
from feast.types import Array, Float64, Int64, String

rates = FeatureView(
    name="rates",
    ttl=timedelta(days=1),
    {schema}
    source=FileSource(
        name="rates_table", path="data/rates.parquet", timestamp_field="at", created_timestamp_column="made"
    ),
)
rates_now = FeatureService(name="rates_now", features=[rates])
"""
SCHEMA = (
    'schema=[Field(name="usd", dtype=Float64), Field(name="day", dtype=Int64), '
    'Field(name="source", dtype=String), Field(name="curve", dtype=Array(Float64))],'
)
DAY = datetime(2024, 1, 1, tzinfo=UTC)
TABLE = {
    "usd": [1.1, 1.2, None, 1.4],
    "day": [1, 2, 2, 1],
    "source": ["a", None, "c", "d"],
    "curve": [[1.0], [1.0, 2.0], [], None],
    "at": [DAY, DAY + timedelta(days=1), DAY + timedelta(days=1), DAY],
    "made": [DAY, DAY + timedelta(hours=30), DAY + timedelta(hours=25), DAY],
}
NOW_MS = int(DAY.timestamp() * 1000) + 90_000_000


@pytest.fixture
def repo(tmp_path: Path, project: str, redis_url: str) -> Path:
    folder = tmp_path / "repo"
    (folder / "data").mkdir(parents=True)
    (folder / "features.py").write_text(DEFINITIONS.format(schema=SCHEMA))
    config = repository_config(project, connection_string(redis_url))
    (folder / "feature_store.yaml").write_text(config)
    pq.write_table(pa.table(TABLE), folder / "data" / "rates.parquet")
    return folder


def test_the_row_that_is_stored_is_feasts(repo: Path, redis_url: str) -> None:
    no_ties = pa.table(TABLE).take([0, 1])  # Feast's materialisation keeps the least created of two
    pq.write_table(no_ties, repo / "data" / "rates.parquet")
    ours, feasts = taken_from_both(repo, redis_url, "rates")
    assert len(ours) == 1
    assert ours == feasts


async def test_every_row_that_asks_gets_it(repo: Path, redis_url: str) -> None:
    plan = compile_features(repo).plan()
    assert plan.batch_views[0].join_keys == ()
    latest = {"rates__usd": 1.2, "rates__day": 2, "rates__source": None, "rates__curve": [1.0, 2.0]}
    with FeatureClient(plan, redis_url) as client:
        assert client.get_online_features("rates_now", [{}]).rows() == [dict.fromkeys(latest)]
        await asyncio.to_thread(materialize, repo, plan, redis_url)
        for rows, count in (([{}], 1), ([{"x": 1}, {"x": 2}], 2), ({"x": [1, 2, 3]}, 3), ([], 0), ({}, 0)):
            found = client.get_online_features("rates_now", rows, now_ms=NOW_MS)
            assert found.rows() == [latest] * count
        assert found.entities == {}
        late = client.get_online_features("rates_now", [{}], now_ms=NOW_MS + 90_000_000)
        assert late.statuses["rates__usd"] == [FieldStatus.OUTSIDE_MAX_AGE]
    with redis.Redis.from_url(redis_url) as connection:
        assert RedisPlanUsage(connection, plan).rows(plan.view("rates")).count == 1
    async with AsyncFeatureClient(plan, redis_url) as other:
        assert (await other.get_online_features("rates_now", [{}], now_ms=NOW_MS)).rows() == [latest]


def test_later_rows_take_its_place(repo: Path, redis_url: str) -> None:
    plan = compile_features(repo).plan()
    materialize(repo, plan, redis_url, end=DAY)
    with FeatureClient(plan, redis_url) as client:
        before = client.get_online_features("rates_now", [{}], now_ms=NOW_MS - 20_000_000)
        assert before.columns["rates__source"] == ["d"]  # of two alike, the one that stands last
        assert materialize(repo, plan, redis_url, incremental=True) == {"rates": 1}
        assert client.get_online_features("rates_now", [{}], now_ms=NOW_MS).columns["rates__day"] == [2]


def test_of_a_table_that_feast_reads_the_latest_row_is_taken(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Feast's store gives every row of a view without entities."""
    monkeypatch.setattr(table, "is_local", lambda source: False)
    parts = compile_features(repo)
    rows = table.BatchTable(parts.repository, parts.batch_views[0]).read(DAY + timedelta(days=9), None)
    assert rows.keys == []
    assert rows.features[0][0].tolist() == [1.2]


def test_what_it_leaves_out_is_inferred_as_feast_does(repo: Path, redis_url: str) -> None:
    file = repo / "features.py"
    file.write_text(file.read_text().replace(SCHEMA, ""))
    view = compile_features(repo).plan().batch_views[0]
    assert {field.name: field.dtype for field in view.features} == {
        "usd": "Float64",
        "day": "Int64",
        "source": "String",
        "curve": "Array(Float64)",
    }
    assert view.join_keys == ()


def test_its_key_is_one_for_all_rows(repo: Path) -> None:
    plan = compile_features(repo).plan()
    keys = ViewEncoder(plan.project, plan.batch_views[0]).redis_keys([], 3)
    assert keys == [keys[0]] * 3
    assert b"__dummy_id" in keys[0]
    assert keys[0].endswith(plan.project.encode())
