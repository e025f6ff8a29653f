"""Rows restored into an online store: those that are missing or older, and no others."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
import redis

from headrace.featurestore.online.client import FeatureClient
from headrace.featurestore.online.rebuild import RedisRebuildStore
from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.schemas.errors import ServiceUnavailable
from headrace.schemas.plan import Plan
from headrace.streams.connections.redis_updates import HashUpdate
from headrace.streams.sinks import OnlineRows
from tests.support.online_plan import plan_of

AS_OF_MS = 1_700_000_000_000


def rows(users: range, n: int, offset: int, partition: int = 0, as_of_ms: int = AS_OF_MS) -> OnlineRows:
    valid = np.ones(len(users), np.bool_)
    features = ((np.full(len(users), n), valid), (np.full(len(users), n / 2), valid))
    return OnlineRows("fresh", (np.array(users),), features, partition, offset, as_of_ms)


def write(redis_url: str, plan: Plan, *batches: OnlineRows) -> None:
    async def store() -> None:
        sink = RedisOnlineSink(redis_url, plan)
        await sink.write(batches, [])
        await sink.close()

    asyncio.run(store())


def read(redis_url: str, plan: Plan, users: range) -> list[int | None]:
    with FeatureClient(plan, redis_url) as client:
        found = client.get_online_features(["fresh:n"], {"user": list(users)}, now_ms=AS_OF_MS)
    return found.columns["fresh__n"]


def test_missing_and_older_rows_are_restored_and_newer_ones_stay(redis_url: str, project: str) -> None:
    plan, store = plan_of(project), RedisRebuildStore(redis_url, plan_of(project))
    write(redis_url, plan, rows(range(0, 3), n=1, offset=4), rows(range(3, 6), n=2, offset=9))
    assert store.write(rows(range(8), n=3, offset=7)) == {"older": 3, "current": 3, "missing": 2}
    assert read(redis_url, plan, range(8)) == [3, 3, 3, 2, 2, 2, 3, 3]


def test_the_same_prefix_is_current_and_a_later_time_of_it_is_newer(redis_url: str, project: str) -> None:
    plan, store = plan_of(project), RedisRebuildStore(redis_url, plan_of(project))
    write(redis_url, plan, rows(range(2), n=1, offset=4))
    assert store.write(rows(range(2), n=2, offset=4)) == {"current": 2}
    assert store.write(rows(range(2), n=3, offset=4, as_of_ms=AS_OF_MS + 1)) == {"older": 2}
    assert read(redis_url, plan, range(2)) == [3, 3]


def test_rows_of_another_partition_stay(redis_url: str, project: str) -> None:
    plan, store = plan_of(project), RedisRebuildStore(redis_url, plan_of(project))
    write(redis_url, plan, rows(range(2), n=1, offset=4, partition=1))
    assert store.write(rows(range(3), n=2, offset=9, partition=0)) == {"current": 2, "missing": 1}
    assert read(redis_url, plan, range(3)) == [1, 1, 2]


def test_rows_of_another_state_give_way(redis_url: str, project: str) -> None:
    plan, store = plan_of(project), RedisRebuildStore(redis_url, plan_of(project))
    write(redis_url, plan, replace(rows(range(2), n=1, offset=9), state=b"earlier "))
    assert store.write(replace(rows(range(2), n=2, offset=4), state=b"later   ")) == {"older": 2}
    assert read(redis_url, plan, range(2)) == [2, 2]


def test_more_rows_than_a_chunk_are_all_counted(redis_url: str, project: str) -> None:
    store = RedisRebuildStore(redis_url, plan_of(project))
    assert store.write(rows(range(1203), n=1, offset=4)) == {"missing": 1203}
    assert store.write(rows(range(1203), n=1, offset=4)) == {"current": 1203}
    assert store.write(rows(range(0), n=1, offset=4)) == {}


def test_published_fields_never_go_back(redis_url: str, project: str) -> None:
    store, key = RedisRebuildStore(redis_url, plan_of(project)), f"{project}:progress"
    for offset in (5, 3, 8):
        store.publish([HashUpdate(key, "log", offset, {"reached": str(offset)})])
        with redis.Redis.from_url(redis_url) as client:
            assert client.hget(key, "reached") == str(max(offset, 5)).encode()


def test_a_store_that_is_away_is_named(project: str, free_port: int) -> None:
    store = RedisRebuildStore(f"redis://127.0.0.1:{free_port}/0?retries=0", plan_of(project))
    with pytest.raises(ServiceUnavailable, match=r"Redis takes no rows.*run it again"):
        store.write(rows(range(2), n=1, offset=4))
    with pytest.raises(ServiceUnavailable, match="Redis takes no progress"):
        store.publish([HashUpdate("key", "log", 1, {"f": "1"})])
