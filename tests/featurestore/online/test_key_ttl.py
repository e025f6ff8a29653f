"""`key_ttl_seconds`: Redis forgets an entity so long after its last write, as with Feast's own store."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import redis

from headrace.featurestore.online.client import FeatureClient
from headrace.featurestore.online.rebuild import RedisRebuildStore
from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.schemas.feature_specs import AggregationSpec, BatchViewSpec, FieldSpec, StreamViewSpec
from headrace.schemas.plan import OnlineStoreSpec, Plan
from headrace.streams.sinks import OnlineRows

TTL_S = 3600
ROWS = (np.ones(3, np.int64), np.ones(3, np.bool_))


def plan_of(project: str, ttl_s: int = TTL_S, version: int = 3) -> Plan:
    aggregation = AggregationSpec(
        feature="n", function="count", column="x", window_ms=1000, hop_ms=1000, dtype="Int64"
    )
    keys = (FieldSpec(name="k", dtype="Int64"),)
    return Plan(
        project=project,
        stream_views=(StreamViewSpec(name="v", source="s", join_keys=keys, aggregations=(aggregation,)),),
        batch_views=(
            BatchViewSpec(name="w", join_keys=keys, features=(FieldSpec(name="n", dtype="Int64"),)),
        ),
        online=OnlineStoreSpec(key_ttl_s=ttl_s, key_version=version),  # type: ignore[arg-type]
    )


def rows(offset: int) -> OnlineRows:
    return OnlineRows("v", (np.arange(3),), (ROWS,), 2, offset, 1_700_000_000_123)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as connection:
        yield connection


def lives(client: redis.Redis, project: str, expire_s: int | None = None) -> list[int]:
    """Seconds that each of three entities lives on; then it is given others."""
    keys = list(client.scan_iter(b"*k*" + project.encode(), count=10_000))
    found = [int(client.ttl(key)) for key in keys]
    for key in keys if expire_s is not None else ():
        client.expire(key, expire_s or 0)
    assert len(keys) == 3
    return found


def is_whole(found: list[int]) -> bool:
    """Renewed: far from what the test has set, whatever time has passed."""
    return all(TTL_S // 2 < seconds <= TTL_S for seconds in found)


async def test_a_row_of_the_worker_renews_it_and_one_that_is_refused_does_not(
    redis_url: str, project: str, client: redis.Redis
) -> None:
    sink = RedisOnlineSink(redis_url, plan_of(project))
    await sink.write([rows(5)], [])
    assert is_whole(lives(client, project, expire_s=TTL_S // 4))
    await sink.write([rows(4)], [])
    assert not is_whole(lives(client, project))
    await sink.write([rows(6)], [])
    await sink.close()
    assert is_whole(lives(client, project))


async def test_rows_of_batch_views_and_of_a_rebuild_renew_it(
    redis_url: str, project: str, client: redis.Redis
) -> None:
    plan = plan_of(project)
    sink = RedisOnlineSink(redis_url, plan)
    await sink.write_batch_view("w", [np.arange(3)], [ROWS], np.array([1_700_000_000_000_000]))
    await sink.close()
    assert is_whole(lives(client, project, expire_s=TTL_S // 4))
    store = RedisRebuildStore(redis_url, plan)
    assert store.write(rows(5)) == {"missing": 3}
    assert is_whole(lives(client, project, expire_s=TTL_S // 4))
    assert store.write(rows(5)) == {"current": 3}
    assert not is_whole(lives(client, project))
    with FeatureClient(plan, redis_url) as reader:
        found = reader.get_online_features(["v:n", "w:n"], {"k": [0, 1, 2]}).columns
    assert found == {"v__n": [1, 1, 1], "w__n": [1, 1, 1]}


async def test_without_it_rows_are_kept_for_ever(redis_url: str, project: str, client: redis.Redis) -> None:
    sink = RedisOnlineSink(redis_url, plan_of(project, ttl_s=0))
    await sink.write([rows(5)], [])
    await sink.write_batch_view("w", [np.arange(3)], [ROWS], np.array([1_700_000_000_000_000]))
    await sink.close()
    assert lives(client, project) == [-1, -1, -1]
