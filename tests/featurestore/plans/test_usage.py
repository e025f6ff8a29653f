"""Usage of a plan, as Redis tells it: counted in a small store, estimated in a large one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import numpy as np
import pytest
import redis

from headrace.deploy.local.redis_server import RedisServer
from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.featurestore.plans import usage as plan_usage
from headrace.featurestore.plans.usage import Amount, RedisPlanUsage
from headrace.streams.progress import Progress, ProgressStore, counts_key
from tests.support.usage_plan import SPENT, plan

PLAN = plan(SPENT)
PROFILE, USER_SPENT = PLAN.batch_views[0], PLAN.stream_views[0]


@pytest.fixture(scope="module")
def own_redis(servers: None) -> Iterator[str]:
    """The URL of a server that nobody else writes to: its keys are counted."""
    with RedisServer() as server:
        yield server.url


@pytest.fixture
def client(own_redis: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(own_redis) as client:
        client.flushall()
        yield client


def write_profiles(url: str, users: range) -> None:
    async def store() -> None:
        sink = RedisOnlineSink(url, PLAN)
        ages = (np.zeros(len(users), np.int64), np.ones(len(users), np.bool_))
        await sink.write_batch_view("profile", [np.array(users)], [ages], np.zeros(len(users), np.int64))
        await sink.close()

    asyncio.run(store())


def test_rows_of_a_small_store_are_counted(own_redis: str, client: redis.Redis) -> None:
    write_profiles(own_redis, range(500))
    for number in range(300):
        client.set(f"another key {number}", "")
    usage = RedisPlanUsage(client, PLAN)
    assert usage.rows(PROFILE) == Amount(500)
    assert usage.rows(USER_SPENT) == Amount(0), "rows of another view with the same join key"


def test_rows_of_another_project_are_not_counted(own_redis: str, client: redis.Redis) -> None:
    write_profiles(own_redis, range(5))
    assert RedisPlanUsage(client, plan(SPENT, project="other")).rows(PROFILE) == Amount(0)


def test_rows_of_a_large_store_are_estimated(
    own_redis: str, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_usage, "_SAMPLE", 200)
    monkeypatch.setattr(plan_usage, "_SCAN_STEP", 50)
    write_profiles(own_redis, range(1000))
    usage = RedisPlanUsage(client, PLAN)
    assert usage.rows(PROFILE) == Amount(1000, exact=False), "each key of the sample is a row"
    client.flushall()
    for number in range(1000):
        client.set(f"another key {number}", "")
    assert usage.rows(PROFILE).exact is False
    assert RedisPlanUsage(client, PLAN).rows(PROFILE) == Amount(0, exact=False)


def test_an_empty_store_has_no_rows(client: redis.Redis) -> None:
    assert RedisPlanUsage(client, PLAN).rows(PROFILE) == Amount(0)


def test_records_are_those_of_all_partitions_whatever_became_of_them(client: redis.Redis) -> None:
    counts = {"applied": 7, "late": 2, "dead": 1, "marks": 0}
    for name in ("intake|p.purchases|0", "intake|p.purchases|1", "intake|p.others|0", "sums|p.purchases|0"):
        client.hset(counts_key("p"), name, json.dumps(counts))
    assert RedisPlanUsage(client, PLAN).records("p.purchases") == Amount(20)
    assert RedisPlanUsage(client, PLAN).records("p.nothing") == Amount(0)


def test_examples_are_those_that_a_learner_has_passed(client: redis.Redis) -> None:
    store = ProgressStore(client, PLAN)
    store.publish("train", "headrace.p.examples.main", 0, Progress(33), "tree")
    store.publish("train", "headrace.p.examples.other", 0, Progress(99), "tree")
    usage = RedisPlanUsage(client, PLAN)
    assert (usage.examples("tree"), usage.examples("line")) == (Amount(33), Amount(0))


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (Amount(0), "0 rows"),
        (Amount(1), "1 row"),
        (Amount(1_234_567), "1,234,567 rows"),
        (Amount(1, exact=False), "about 1 row"),
    ],
)
def test_an_amount_has_its_noun(amount: Amount, text: str) -> None:
    assert amount.text("row", "rows") == text
