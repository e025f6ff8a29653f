"""Rows of views that are gone, beside those of others, of other projects and of other views."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import redis

from headrace.featurestore.online.client import FeatureClient
from headrace.featurestore.online.removal import remove_rows
from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.schemas.errors import ServiceUnavailable
from headrace.schemas.feature_specs import AggregationSpec, BatchViewSpec, FieldSpec, StreamViewSpec
from headrace.schemas.plan import Plan
from headrace.streams.sinks import OnlineRows

# Names whose lengths, as bytes of a key, are signs of Redis' patterns: `*`, `?`, `[`, `\`.
LONG = {length: "k" * length for length in (1, 42, 63, 91, 92)}


def plan_of(project: str, key: str = "k", dtype: str = "Int64") -> Plan:
    aggregation = AggregationSpec(
        feature="n", function="count", column="x", window_ms=1000, hop_ms=1000, dtype="Int64"
    )
    keys = (FieldSpec(name=key, dtype=dtype),)  # type: ignore[arg-type]
    return Plan(
        project=project,
        stream_views=(StreamViewSpec(name="v", source="s", join_keys=keys, aggregations=(aggregation,)),),
        batch_views=(
            BatchViewSpec(name="w", join_keys=keys, features=(FieldSpec(name="n", dtype="Int64"),)),
        ),
    )


async def write(redis_url: str, plan: Plan, offset: int = 5) -> None:
    """Both views, of keys 0 to 4."""
    sink = RedisOnlineSink(redis_url, plan)
    ones = (np.ones(5, np.int64), np.ones(5, np.bool_))
    await sink.write([OnlineRows("v", (np.arange(5),), (ones,), 2, offset, 1_700_000_000_123)], [])
    await sink.write_batch_view("w", [np.arange(5)], [ones], np.array([1_700_000_000_000_000]))
    await sink.close()


def read(redis_url: str, plan: Plan, view: str) -> list[int | None]:
    key = plan.view(view).join_keys[0].name
    with FeatureClient(plan, redis_url) as client:
        found = client.get_online_features([f"{view}:n"], {key: list(range(5))})
    return list(found.columns[f"{view}__n"])


@pytest.fixture
def online(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.mark.parametrize("length", LONG)
async def test_rows_go_and_those_of_other_views_and_projects_stay(
    redis_url: str, project: str, online: redis.Redis, length: int
) -> None:
    ours, longer = plan_of(project, LONG[length]), plan_of(f"e{project}", LONG[length])
    await write(redis_url, ours)
    await write(redis_url, longer)
    assert remove_rows(online, project, "v", [LONG[length]], ["n"]) == 5
    assert (read(redis_url, ours, "v"), read(redis_url, ours, "w")) == ([None] * 5, [1] * 5)
    assert (read(redis_url, longer, "v"), read(redis_url, longer, "w")) == ([1] * 5, [1] * 5)
    assert remove_rows(online, project, "v", [LONG[length]], ["n"]) == 0
    assert remove_rows(online, project, "w", [LONG[length]], ["n"]) == 5
    assert list(online.scan_iter(b"*k" + b"?" * 16 + project.encode(), count=10_000)) == []


async def test_a_view_that_comes_back_is_written_from_its_first_prefix(
    redis_url: str, project: str, online: redis.Redis
) -> None:
    plan = plan_of(project)
    await write(redis_url, plan, offset=900)
    remove_rows(online, project, "v", ["k"], ["n"])
    await write(redis_url, plan, offset=3)
    assert read(redis_url, plan, "v") == [1] * 5


def test_a_redis_that_is_away_is_an_error_that_names_the_view(free_port: int) -> None:
    away = redis.Redis(port=free_port)
    with pytest.raises(ServiceUnavailable, match="rows of view 'v'"):
        remove_rows(away, "p", "v", ["k"], ["n"])
