"""Rows that a client pushes: all are checked before one is written, and a later row is never written over."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import redis

from headrace import AsyncFeatureClient, FeatureClient
from headrace.deploy.local.redis_server import RedisServer
from headrace.featurestore.plans.store import PlanStore
from headrace.schemas.errors import (
    HeadraceError,
    PlanError,
    RequestError,
    ServiceUnavailable,
    UnknownNameError,
)
from headrace.schemas.feature_specs import FieldSpec
from headrace.schemas.plan import Plan
from tests.support.paths import ROOT
from tests.support.pushed_plan import FEATURES, NOON, pushed_plan, row
from tests.support.redis_stand_in import RedisStandIn

KEY = {"user": 1, "place": "a"}


@pytest.fixture
def client(redis_url: str, project: str) -> Iterator[FeatureClient]:
    with FeatureClient(pushed_plan(project), redis_url) as client:
        yield client


def read(client: FeatureClient, **key: Any) -> list[Any]:
    found = client.get_online_features(FEATURES, [KEY | key]).columns
    return [values[0] for values in found.values()]


def test_rows_reach_every_view_of_the_source(client: FeatureClient) -> None:
    assert client.push("scores", [row(), row(user=2, score_of_another=1)]) == {"places": 2, "users": 2}
    assert read(client) == read(client, user=2) == [0.5, "ada", 0.5]
    times = client.get_online_features(FEATURES, [KEY])
    assert [status.value for status in times.statuses["users__score"]] == ["PRESENT"]


@pytest.mark.parametrize(
    "rows",
    [
        [row()],
        (row(),),
        {name: [value] for name, value in row().items()},
        {name: {"first": value} for name, value in row().items()},
        {name: np.array([value]) for name, value in row(at=np.datetime64("2024-01-01T12:00")).items()},
        pd.DataFrame([row()]),
        pd.DataFrame([row()]).set_index("user"),
        pd.DataFrame([row()]).convert_dtypes(),
        pa.Table.from_pylist([row()]),
        pa.RecordBatch.from_pylist([row()]),
        [row(at=NOON.replace(tzinfo=None))],
        [row(at="2024-01-01 21:00:00+09:00")],
        [row(at=NOON.astimezone(ZoneInfo("Asia/Tokyo")))],
        [row(user=1.0, points=np.float32(0.5))],
    ],
    ids=lambda rows: type(rows).__name__,
)
def test_every_form_of_rows_is_the_same_row(client: FeatureClient, rows: Any) -> None:
    assert client.push("scores", rows) == {"places": 1, "users": 1}
    assert read(client) == [0.5, "ada", 0.5]
    assert client.push("scores", [row(at=NOON, points=7.0)]) == {"places": 0, "users": 0}
    assert client.push("scores", [row(at=NOON + timedelta(microseconds=1), points=7.0)])["users"] == 1


@pytest.mark.parametrize(
    ("rows", "field", "told"),
    [
        ([row(), row(points="x")], "rows[1].points", "'x' is no Float64. Send such a value, or null"),
        ([row(points=10**400)], "rows[0].points", "is no Float64"),
        ([row(user=10**5000)], "rows[0].user", "an int that cannot be shown is no Int64"),
        ([row(user=2**63)], "rows[0].user", "9223372036854775808 is no Int64"),
        ([row(user=1.5)], "rows[0].user", "1.5 is no Int64"),
        ([row(user=True)], "rows[0].user", "True is no Int64"),
        ([row(user=None)], "rows[0].user", "it is null, and rows are found by it. Send its value"),
        ([row(user=float("nan"))], "rows[0].user", "it is null"),
        ([row(name="\ud800")], "rows[0].name", "'\\ud800' is no String"),
        ([row(name=7)], "rows[0].name", "7 is no String"),
        ([row(points=Decimal(1))], "rows[0].points", "Decimal('1') is no Float64"),
        ([row(at=datetime(9999, 12, 31))], "rows[0].at", "is no time between the years 1678 and 2262"),
        ([row(at=datetime(1, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo")))], "rows[0].at", "1678"),
        ([row(at=1_700_000_000)], "rows[0].at", "2262. Give every row its event time, as"),
        ([row(at=None)], "rows[0].at", "it is null"),
        ([row(at=pd.NaT)], "rows[0].at", "it is null"),
        ([{"user": 1}], "rows", "takes 'score', 'name', 'place', 'at': the rows have no such column"),
        ([row() | {"score": 1.0}], "rows", "'points' and 'score' both stand for 'score'. Give one of them"),
        (pd.DataFrame([[1, 2]], columns=["user", "user"]), "rows", "no such column"),
        ([row(), 7], "rows[1]", "an int is no row. Give a list of dicts"),
        ("abc", "rows", "a str is no table"),
        (iter([row()]), "rows", "a list_iterator is no table"),
        ({"user": [1], "at": []}, "rows.at", "it has 0 values, the first column 1"),
        ({"user": 1}, "rows.user", "an int is no column"),
        ({"user": {"a": 1}, "at": {"b": 1}}, "rows.at", "it has other rows than the column before it"),
    ],
)  # fmt: skip
def test_one_wrong_row_refuses_all(client: FeatureClient, rows: Any, field: str, told: str) -> None:
    with pytest.raises(RequestError) as error:
        client.push("scores", rows)
    assert error.value.field == field
    assert told in str(error.value)
    assert read(client) == [None, None, None]


def test_an_unknown_source_is_told_with_the_nearest(client: FeatureClient) -> None:
    with pytest.raises(UnknownNameError, match="push source not found: 'score'; did you mean 'scores'"):
        client.push("score", [row()])


def test_no_rows_are_no_error(client: FeatureClient) -> None:
    for rows in ([], {}, pd.DataFrame(), pa.table({})):
        assert client.push("scores", rows) == {"places": 0, "users": 0}


def test_a_later_row_stays_whoever_pushes_last(client: FeatureClient) -> None:
    """Also within one push; of rows with one time the first stays, and times up to 1970 stop none."""
    hours = [row(at=NOON + timedelta(hours=n), points=float(n)) for n in (0, 2, 1, 2)]
    hours[3]["points"] = 9.0
    assert client.push("scores", hours) == {"places": 1, "users": 1}
    assert read(client)[0] == 2.0
    early = [row(user=2, at=datetime(1960, 1, n + 1, tzinfo=UTC), points=float(n)) for n in (5, 1)]
    client.push("scores", early)
    assert read(client, user=2)[0] == 1.0
    client.push("scores", [early[0], row(user=2, at=datetime(1970, 1, 1), points=3.0)])
    client.push("scores", [early[1]])
    assert read(client, user=2)[0] == 1.0


def test_of_many_clients_at_once_the_latest_row_stays(redis_url: str, project: str) -> None:
    pushed = [(user, at) for user in range(20) for at in range(1, 9)]
    random.Random(7).shuffle(pushed)

    def push(part: list[tuple[int, int]]) -> None:
        with FeatureClient(pushed_plan(project), redis_url) as client:
            for user, at in part:
                client.push("scores", [row(user=user, points=float(at), at=NOON + timedelta(seconds=at))])

    threads = [threading.Thread(target=push, args=(pushed[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with FeatureClient(pushed_plan(project), redis_url) as client:
        found = client.get_online_features(["users:score"], {"user": [*range(20)]}).columns
    assert found["users__score"] == [8.0] * 20


def test_nulls_are_written_as_nulls(client: FeatureClient) -> None:
    client.push("scores", [row()])
    client.push("scores", [row(at=NOON + timedelta(hours=1), points=None, name=float("nan"))])
    found = client.get_online_features(FEATURES, [KEY])
    assert {status.value for (status,) in found.statuses.values()} == {"NULL_VALUE"}


def test_key_ttl_is_renewed_by_rows_that_are_written(redis_url: str, project: str) -> None:
    with (
        FeatureClient(pushed_plan(project, ttl_s=3600), redis_url) as client,
        redis.Redis.from_url(redis_url) as store,
    ):
        client.push("scores", [row()])
        (key, *_) = keys = list(store.scan_iter(b"*" + project.encode(), count=10_000))
        assert len(keys) == 2
        assert store.ttl(key) > 1800
        store.expire(key, 900)
        client.push("scores", [row()])
        assert store.ttl(key) <= 900
        client.push("scores", [row(at=NOON + timedelta(hours=1))])
        assert store.ttl(key) > 1800


def test_a_redis_that_forgot_the_script_is_given_it_again(client: FeatureClient, redis_url: str) -> None:
    many = [row(user=n) for n in range(100)]
    assert client.push("scores", many)["users"] == 100
    with redis.Redis.from_url(redis_url) as store:
        store.script_flush()
    later = [each | {"at": NOON + timedelta(hours=1)} for each in many]
    assert client.push("scores", later)["users"] == 100


async def test_for_asyncio_it_is_given_again_as_well(redis_url: str, project: str) -> None:
    plan = pushed_plan(project)
    PlanStore(redis_url, project).save(plan)
    async with AsyncFeatureClient(plan, redis_url) as client:
        for hours in (0, 1):
            rows = [row(user=n, at=NOON + timedelta(hours=hours)) for n in range(100)]
            assert (await client.push("scores", rows))["users"] == 100
            with redis.Redis.from_url(redis_url) as store:
                store.script_flush()


def test_a_redis_that_is_away_is_told(servers: None, tmp_path: Path, project: str) -> None:
    with RedisServer(tmp_path / "redis") as server:
        url = server.url
        client = FeatureClient(pushed_plan(project), f"{url}?retries=0")
        client.push("scores", [row()])
    with pytest.raises(
        ServiceUnavailable, match=r"rows cannot be pushed, or not all of them: .*push them again"
    ):
        client.push("scores", [row()])
    client.close()


def test_a_redis_that_goes_away_in_the_middle_is_told(project: str) -> None:
    """Of two chunks of rows the first is written; the push is not taken for done."""
    written = 0

    def answer(words: Sequence[bytes]) -> bytes | None:
        nonlocal written
        if words[0] == b"GET":
            return b"$-1\r\n"
        written += 1
        return b":1\r\n" if written <= 2500 else None

    with (
        RedisStandIn(answer) as server,
        FeatureClient(pushed_plan(project), f"{server.url}?retries=0") as client,
    ):
        with pytest.raises(ServiceUnavailable, match="rows cannot be pushed, or not all of them"):
            client.push("scores", [row(user=user) for user in range(3000)])
        assert written == 2501
        written = -10_000
        assert client.push("scores", [row(user=user) for user in range(3000)]) == {
            "places": 3000,
            "users": 3000,
        }


def test_what_is_no_time_in_redis_stops_no_row(client: FeatureClient, redis_url: str, project: str) -> None:
    for raw in (b"", b"\xff", b"\xff" * 30, b"garbage", b"\x08", b"\x10\x80"):
        client.push("scores", [row()])
        with redis.Redis.from_url(redis_url) as store:
            for key in store.scan_iter(b"*user*" + project.encode(), count=10_000):
                store.hset(key, "_ts:users", raw)
        assert client.push("scores", [row(at=NOON + timedelta(hours=1))])["users"] == 1


def test_rows_of_an_older_plan_are_not_written(redis_url: str, project: str) -> None:
    plan = pushed_plan(project)
    PlanStore(redis_url, project).save(plan)
    with FeatureClient.connect(redis_url, project) as client:
        client.push("scores", [row()])
        more = plan.model_copy(update={"batch_views": plan.batch_views[:2]})
        PlanStore(redis_url, project).save(more)
        assert client.push("scores", [row(user=2)]) == {"places": 1, "users": 1}
        users = plan.batch_views[0]
        other = users.model_copy(
            update={"features": (FieldSpec(name="score", dtype="String"), *users.features[1:])}
        )
        PlanStore(redis_url, project).save(
            plan.model_copy(update={"batch_views": (other, *plan.batch_views[1:])})
        )
        with pytest.raises(
            PlanError, match=r"push source 'scores': .* another plan in force .* make a new client"
        ):
            client.push("scores", [row(at=NOON + timedelta(hours=1))])
        assert read(client) == [0.5, "ada", 0.5]


async def test_the_async_client_pushes_alike(redis_url: str, project: str) -> None:
    plan = pushed_plan(project)
    PlanStore(redis_url, project).save(plan)
    async with AsyncFeatureClient(plan, redis_url) as client:
        pushed = [
            client.push("scores", [row(points=float(n), at=NOON + timedelta(hours=n))]) for n in range(9)
        ]
        await asyncio.gather(*pushed)
        found = await client.get_online_features(FEATURES, [KEY])
        assert found.columns["users__score"] == [8.0]
        with pytest.raises(RequestError, match=r"rows\[0\]\.points: 'x' is no Float64"):
            await client.push("scores", [row(points="x")])
        with pytest.raises(UnknownNameError, match="did you mean 'scores'"):
            await client.push("scorse", [])
        PlanStore(redis_url, project).save(plan.model_copy(update={"push_sources": ()}))
        with pytest.raises(PlanError, match="make a new client"):
            await client.push("scores", [row()])
    async with AsyncFeatureClient(plan, "redis://127.0.0.1:1/0?retries=0") as away:
        with pytest.raises(ServiceUnavailable, match="rows cannot be pushed"):
            await away.push("scores", [row()])


def test_dicts_are_pushed_without_feast_pandas_or_pyarrow(redis_url: str, project: str) -> None:
    code = (
        "import sys; from headrace import FeatureClient; from tests.support.pushed_plan import *; "
        f"client = FeatureClient(pushed_plan({project!r}), {redis_url!r}); "
        "assert 'numpy' not in sys.modules; client.push('scores', [row()]); "
        "print([name for name in ('feast', 'pandas', 'pyarrow', 'faust') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.stdout.strip() == "[]", told.stderr


def test_errors_are_of_headrace(client: FeatureClient) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise AttributeError(name)

    with pytest.raises(HeadraceError, match="is no String"):
        client.push("scores", [row(name=Broken())])


def test_the_plan_says_which_views_a_source_feeds(project: str) -> None:
    plan: Plan = pushed_plan(project)
    assert plan.push_source("scores").views == ("places", "users")
    assert plan.pushed_views() == {"places", "users"}
    assert Plan.from_json(plan.to_json()) == plan
