"""The SDK: what it answers, what it refuses, and how little it needs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import redis
from feast import FeatureService
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus as FeastStatus

from headrace.deploy.local.redis_server import RedisServer
from headrace.featurestore.field_status import FieldStatus
from headrace.featurestore.online.async_client import AsyncFeatureClient
from headrace.featurestore.online.client import FeatureClient
from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.featurestore.plans.store import PlanStore
from headrace.featurestore.redis_codec.decoder import Provenance
from headrace.schemas.errors import (
    HeadraceError,
    PlanError,
    ProgressTimeout,
    ServiceUnavailable,
    UnknownNameError,
)
from headrace.schemas.plan import Plan
from headrace.streams.progress import Progress, ProgressStore
from headrace.streams.sinks import OnlineRows
from tests.support.online_plan import TTL_MS, plan_of

AS_OF_MS = 1_700_000_000_000
PRESENT, NULL, MISSING, OLD = (
    FieldStatus.PRESENT,
    FieldStatus.NULL_VALUE,
    FieldStatus.NOT_FOUND,
    FieldStatus.OUTSIDE_MAX_AGE,
)


def write(redis_url: str, plan: Plan) -> None:
    """User 1 has everything, user 2 a null mean and no info."""
    valid = np.array([True, True])
    features = ((np.array([3, 4]), valid), (np.array([0.5, 0.0]), np.array([True, False])))
    users = np.array([1, 2])

    async def store() -> None:
        sink = RedisOnlineSink(redis_url, plan)
        fresh = OnlineRows("fresh", (users,), features, 0, 10, AS_OF_MS)
        pair = OnlineRows("pair", (np.array([b"EWR", b"LGA"]), users), features, 1, 20, AS_OF_MS)
        await sink.write([fresh, pair], [])
        info = [([b"one"], valid[:1]), (np.array([86_400_000]), valid[:1])]
        await sink.write_batch_view("info", [users[:1]], info, np.array([AS_OF_MS * 1000]))
        await sink.close()

    asyncio.run(store())


@pytest.fixture
def client(redis_url: str, project: str) -> Iterator[FeatureClient]:
    plan = plan_of(project)
    write(redis_url, plan)
    with FeatureClient(plan, redis_url) as client:
        yield client


ROWS = [{"user": 1, "place": "EWR"}, {"user": 2, "place": "EWR"}, {"user": 3, "place": "LGA"}]


def test_a_service_answers_in_its_order_with_statuses_and_provenance(client: FeatureClient) -> None:
    found = client.get_online_features("svc", ROWS, now_ms=AS_OF_MS)
    assert list(found.columns) == ["fresh__mean", "info__label", "fresh__n", "pair__n"]
    assert found.to_dict() == {
        "user": [1, 2, 3],
        "place": ["EWR", "EWR", "LGA"],
        "fresh__mean": [0.5, None, None],
        "info__label": ["one", None, None],
        "fresh__n": [3, 4, None],
        "pair__n": [3, None, None],
    }
    assert found.statuses["fresh__mean"] == [PRESENT, NULL, MISSING]
    assert found.statuses["info__label"] == [PRESENT, MISSING, MISSING]
    assert found.provenance == {
        "fresh": [Provenance(0, 10, AS_OF_MS), Provenance(0, 10, AS_OF_MS), None],
        "info": [None, None, None],
        "pair": [Provenance(1, 20, AS_OF_MS), None, None],
    }


def test_rows_and_columns_are_two_ways_to_ask_and_to_read(client: FeatureClient) -> None:
    columns = {"user": [1, 2, 3], "place": ["EWR", "EWR", "LGA"]}
    found = client.get_online_features("svc", columns, now_ms=AS_OF_MS)
    assert found == client.get_online_features("svc", ROWS, now_ms=AS_OF_MS)
    assert found.rows()[0] == {
        "user": 1,
        "place": "EWR",
        "fresh__mean": 0.5,
        "info__label": "one",
        "fresh__n": 3,
        "pair__n": 3,
    }


def test_an_entity_asked_for_twice_is_answered_twice_and_read_once(
    client: FeatureClient, redis_url: str
) -> None:
    users = [2, 1, 2, 1, 1]
    with redis.Redis.from_url(redis_url) as connection, connection.monitor() as monitor:
        found = client.get_online_features(["fresh:n", "info:since"], {"user": users})
        connection.echo("done")
        read = []
        for command in monitor.listen():
            if command["command"].startswith("HMGET") and client.plan.project in command["command"]:
                read.append(command)
            if command["command"] == "ECHO done":
                break
    assert len(read) == 2
    assert found.statuses["fresh__n"] == [OLD] * 5
    since = datetime(1970, 1, 2, tzinfo=UTC)
    assert found.columns["info__since"] == [None, since, None, since, since]


@pytest.mark.parametrize(("age_ms", "status"), [(0, PRESENT), (TTL_MS, PRESENT), (TTL_MS + 1, OLD)])
def test_ttl_counts_from_the_time_the_row_is_as_of(
    client: FeatureClient, age_ms: int, status: FieldStatus
) -> None:
    names = ["fresh:n", "pair:n"]
    found = client.get_online_features(names, ROWS[:1], now_ms=AS_OF_MS + age_ms)
    assert found.statuses == {"fresh__n": [status], "pair__n": [PRESENT]}  # pair has no ttl
    assert found.columns["fresh__n"] == [3 if status is PRESENT else None]


def test_a_feature_newer_than_the_row_is_not_found(client: FeatureClient, redis_url: str) -> None:
    view = client.plan.stream_view("pair")
    more = view.aggregations[0].model_copy(update={"feature": "later"})
    view = view.model_copy(update={"aggregations": (*view.aggregations, more)})
    plan = client.plan.model_copy(update={"stream_views": (view,)})
    with FeatureClient(plan, redis_url) as other:
        found = other.get_online_features(["pair:n", "pair:later"], ROWS[:1])
    assert found.statuses == {"pair__n": [PRESENT], "pair__later": [MISSING]}


def test_matrix_has_nan_for_missing_and_milliseconds_for_times(client: FeatureClient) -> None:
    found = client.get_online_features(["fresh:mean", "info:since", "info:label"], ROWS, now_ms=AS_OF_MS)
    np.testing.assert_array_equal(
        found.to_numpy(["info__since", "fresh__mean"]),
        [[86_400_000, 0.5], [np.nan, np.nan], [np.nan, np.nan]],
    )
    with pytest.raises(HeadraceError, match="'info__label' is text"):
        found.to_numpy(["info__label"])
    with pytest.raises(UnknownNameError, match="did you mean 'fresh__mean'"):
        found.to_numpy(["fresh__maen"])


def test_no_rows_give_an_empty_answer(client: FeatureClient) -> None:
    found = client.get_online_features("svc", [])
    assert found.columns == {"fresh__mean": [], "info__label": [], "fresh__n": [], "pair__n": []}
    assert found.to_numpy(["fresh__n"]).shape == (0, 1)


def test_short_names_may_not_collide(client: FeatureClient) -> None:
    short = client.get_online_features(["fresh:n", "pair:mean"], ROWS[:1], False, AS_OF_MS)
    assert short.columns == {"n": [3], "mean": [0.5]}
    with pytest.raises(HeadraceError, match="full_feature_names=True"):
        client.get_online_features(["fresh:n", "pair:n"], ROWS[:1], False)


REFUSED: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "service": ("scv", ROWS, UnknownNameError, "did you mean 'svc'"),
    "view": (["frsh:n"], ROWS, UnknownNameError, "did you mean 'fresh'"),
    "feature": (
        ["fresh:maen"],
        ROWS,
        UnknownNameError,
        "view 'fresh' not found: 'maen'; did you mean 'mean'",
    ),
    "join key": ("svc", [{"user": 1, "palce": "EWR"}], UnknownNameError, "did you mean 'palce'"),
    "text for a number": (["fresh:n"], [{"user": 1}, {"user": "2"}], HeadraceError, "row 1 has '2'"),
    "number for text": (
        ["pair:n"],
        [{"user": 1, "place": 5}],
        HeadraceError,
        "'place' takes text; row 0 has 5",
    ),
    "null": (["fresh:n"], [{"user": None}], HeadraceError, "row 0 has None"),
    "too great a number": (["fresh:n"], [{"user": 2**63}], HeadraceError, "64-bit"),
    "columns of two lengths": (
        ["pair:n"],
        {"user": [1, 2], "place": ["x"]},
        HeadraceError,
        "differ in length",
    ),
}


@pytest.mark.parametrize(("features", "rows", "kind", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses(client: FeatureClient, features: Any, rows: Any, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        client.get_online_features(features, rows)


def test_a_value_of_a_type_headrace_does_not_serve_is_an_error(client: FeatureClient, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as connection:
        for key in connection.scan_iter(b"*" + client.plan.project.encode(), count=10_000):
            for field in connection.hkeys(key):
                if len(field) == 4:
                    connection.hset(key, field, b"\x98\x01\x00")  # null_val
    with pytest.raises(HeadraceError, match="cannot be read"):
        client.get_online_features(["fresh:n"], ROWS)


def test_connect_takes_the_plan_in_force(client: FeatureClient, redis_url: str) -> None:
    plan = client.plan
    with pytest.raises(PlanError, match="run `headrace apply`"):
        FeatureClient.connect(redis_url, plan.project)
    PlanStore(redis_url, plan.project).save(plan)
    with FeatureClient.connect(redis_url, plan.project) as other:
        assert other.plan == plan


@pytest.mark.usefixtures("servers")
async def test_both_clients_survive_a_restart_of_the_server(project: str) -> None:
    plan = plan_of(project)
    server = RedisServer().start()
    sync, later = FeatureClient(plan, server.url), AsyncFeatureClient(plan, server.url)
    try:
        for _ in range(2):
            assert sync.get_online_features("svc", ROWS).statuses["fresh__n"] == [MISSING] * 3
            assert (await later.get_online_features("svc", ROWS)).columns["fresh__n"] == [None] * 3
            server.stop()
            with pytest.raises(ServiceUnavailable, match="cannot be read"):
                sync.get_online_features("svc", ROWS)
            with pytest.raises(ServiceUnavailable, match="cannot be read"):
                await later.get_online_features("svc", ROWS)
            server.start()
    finally:
        sync.close()
        await later.close()
        server.stop()


async def test_wait_returns_once_a_prefix_is_visible(client: FeatureClient, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as connection:
        store = ProgressStore(connection, client.plan)
        with pytest.raises(ProgressTimeout, match="events\\[0\\] up to offset 0 of 5"):
            client.wait("events", {0: 5}, timeout_s=0.01)
        async with AsyncFeatureClient(client.plan, redis_url) as later:
            waiting = asyncio.create_task(later.wait("events", {0: 5}))
            store.publish("features", "events", 0, Progress(5), "direct")
            await waiting
        client.wait("events", {0: 5}, timeout_s=0.01)


async def test_a_wait_says_when_redis_is_away(project: str, free_port: int) -> None:
    plan, url = plan_of(project), f"redis://127.0.0.1:{free_port}/0?retries=0"
    with FeatureClient(plan, url) as client, pytest.raises(ServiceUnavailable, match="whether Redis runs"):
        client.wait("events", {0: 5})
    async with AsyncFeatureClient(plan, url) as later:
        with pytest.raises(ServiceUnavailable, match="whether Redis runs"):
            await later.wait("events", {0: 5})


def test_a_service_may_be_feasts_object(client: FeatureClient) -> None:
    service = FeatureService(name="svc", features=[])
    assert client.get_online_features(service, ROWS) == client.get_online_features("svc", ROWS)


def test_statuses_are_called_as_in_feast() -> None:
    assert {status.name for status in FieldStatus} == set(FeastStatus.keys()) - {"INVALID"}


def test_threads_may_share_a_client(client: FeatureClient, redis_url: str) -> None:
    """More threads than connections, each with rows of its own."""
    url = f"{redis_url}?max_connections=3"

    def read(thread: int) -> bool:
        users = [1, 2, 1000 + thread] * (1 + thread % 4)
        wanted = [3, 4, None] * (1 + thread % 4)
        return all(
            shared.get_online_features(["fresh:n"], {"user": users}, now_ms=AS_OF_MS).columns["fresh__n"]
            == wanted
            for _ in range(100)
        )

    with FeatureClient(client.plan, url) as shared, ThreadPoolExecutor(12) as pool:
        assert all(pool.map(read, range(12)))


def test_a_forked_process_has_connections_of_its_own(client: FeatureClient, redis_url: str) -> None:
    """Parent and child use the client they share at the same time; their replies do not mix."""

    def right(users: list[int], wanted: list[int | None]) -> bool:
        names = ["fresh:n"]
        return all(
            client.get_online_features(names, {"user": users}, now_ms=AS_OF_MS).columns["fresh__n"] == wanted
            for _ in range(300)
        )

    assert right([1], [3])  # so that there is a connection to inherit
    child = os.fork()
    if child == 0:
        os._exit(0 if right([2, 2], [4, 4]) else 1)
    assert right([1, 3, 1], [3, None, 3])
    assert os.waitpid(child, 0)[1] == 0


def test_the_import_is_light() -> None:
    """No Feast, pandas, numpy, Faust, Arrow or river comes with the client; pydantic comes with the plan."""
    heavy = ("feast", "pandas", "numpy", "faust", "pyarrow", "river", "scipy", "pydantic")
    program = (
        "import sys; from headrace import FeatureClient, AsyncFeatureClient; "
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
