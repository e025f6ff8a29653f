"""Every process runs with an account of Redis that has exactly the documented rights."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import redis
from confluent_kafka import Producer

from headrace import FeatureClient
from headrace.deploy.local.redis_server import RedisServer
from headrace.deploy.stack import LocalStack, Process
from headrace.featurestore.online.removal import remove_rows
from headrace.featurestore.online.writer import RedisOnlineSink
from headrace.featurestore.plans.store import PlanStore
from headrace.schemas.avro import encode_confluent
from headrace.schemas.errors import ServiceUnavailable
from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec
from headrace.schemas.plan import OnlineStoreSpec, Plan
from headrace.streams.log.reader import end_offset
from tests.support.clicks_project import NOON_MS, make_clicks_project, post, post_to
from tests.support.feature_server import feature_server
from tests.support.headrace_command import run_headrace
from tests.support.pushed_plan import NOON, pushed_plan, row
from tests.support.redis_accounts import (
    ADMIN,
    PASSWORD,
    close,
    documented_accounts,
    make_accounts,
    refused,
    url_of,
)
from tests.support.waiting import PATIENCE_S

_FORBIDDEN = (
    ("CONFIG", "GET", "*"),
    ("FLUSHALL",),
    ("KEYS", "*"),
    ("ACL", "LIST"),
    ("GET", "another"),
    ("SET", "headrace:other:plan", "x"),
    ("SET", "headrace:clicks:progress", "x"),  # a key of another kind would stop those who write there
    ("SET", "headrace:clicks:models", "x"),
    ("DEL", "headrace:clicks:progress"),
    ("CLIENT", "KILL", "TYPE", "normal"),
    ("SHUTDOWN",),
)


class AccountsStack(LocalStack):
    """A stack in which each process has its own account."""

    server: RedisServer

    def _environment(self, name: Process) -> dict[str, str]:
        return {**super()._environment(name), "HEADRACE_REDIS": url_of(self.server.url, name)}


@pytest.fixture(scope="module")
def server(servers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("accounts")) as server:
        make_accounts(server.url, "clicks")
        close(server.url)
        yield server


def test_every_process_the_sdk_and_the_commands_run_with_these_rights_alone(
    server: RedisServer, tmp_path: Path
) -> None:
    project = make_clicks_project(tmp_path)
    stack = AccountsStack(project, redis_url=url_of(server.url, "apply"), publish_every_s=0.05)
    stack.server = server
    with stack:
        assert PASSWORD not in stack.describe()
        click = encode_confluent(
            stack.plan.source("clicks").reader_schema,
            stack.plan.source("clicks").schema_id,
            {"user": "ada", "event_ms": NOON_MS, "price": 5},
        )
        producer = Producer({"bootstrap.servers": stack.bootstrap, "log_level": 0})
        producer.produce("clicks", click, b"ada")
        assert producer.flush(PATIENCE_S) == 0
        answer = post(stack, "/v1/predict", {"entities": {"user": "ada"}, "ts_ms": NOON_MS})
        label = {"prediction_id": answer["prediction_id"], "label": 1, "ts_ms": NOON_MS + 180_000}
        log = post(stack, "/v1/outcomes", label)["log"]
        key = stack.settings.plan_signing_key()
        assert key is not None
        with FeatureClient.connect(url_of(server.url, "sdk"), "clicks", plan_key=key) as client:
            ends = {n: end_offset(stack.kafka, "clicks", n) for n in range(4)}
            client.wait("clicks", ends, timeout_s=PATIENCE_S)
            client.wait(log["topic"], {log["partition"]: log["offset"] + 1}, "serve", PATIENCE_S)
            read = client.get_online_features("everything", [{"user": "ada"}]).to_dict()
        assert (read["user_clicks__spent_1h"], read["user_profile__age"]) == ([5], [36])
        environment = {**stack.settings.environment(), "HEADRACE_REDIS": url_of(server.url, "features")}
        with feature_server(project, environment, tmp_path / "features.log") as url:
            asked = {"feature_service": "everything", "entities": {"user": ["ada"]}}
            assert [5] in [
                found["values"] for found in post_to(url, "/get-online-features", asked)["results"]
            ]
        environment = {**stack.settings.environment(), "HEADRACE_REDIS": url_of(server.url, "status")}
        for command in ("status", "lineage", "compact"):
            told = run_headrace([command], project, environment)
            assert told.returncode == 0, told.stderr
        environment["HEADRACE_REDIS"] = url_of(server.url, "rebuild")
        told = run_headrace(["materialize"], project, environment)
        assert told.returncode == 0, told.stderr
        stack.check()
    assert refused(server.url.replace("//", f"//:{ADMIN}@")) == []


@pytest.mark.parametrize("account", ["pushing", "features_pushing"])
def test_rows_are_pushed_with_these_rights(server: RedisServer, account: str) -> None:
    for ttl_s in (0, 3600):
        PlanStore(url_of(server.url, "apply"), "clicks").save(pushed_plan("clicks", ttl_s))
        with FeatureClient.connect(url_of(server.url, account), "clicks") as client:
            pushed = [row(place=account, at=NOON + timedelta(seconds=ttl_s))]
            assert client.push("scores", pushed)["places"] == 1
            with redis.Redis.from_url(server.url.replace("//", f"//:{ADMIN}@")) as store:
                store.script_flush()
            assert client.push("scores", pushed)["places"] == 0
            found = client.get_online_features(["places:score"], [{"user": 1, "place": account}])
            assert found.columns["places__score"] == [0.5]
    for reader in ("sdk", "features"):
        with (
            FeatureClient.connect(url_of(server.url, reader), "clicks") as client,
            pytest.raises(ServiceUnavailable, match="no permissions"),
        ):
            client.push("scores", [row()])
    with redis.Redis.from_url(server.url.replace("//", f"//:{ADMIN}@")) as store:
        store.acl_log_reset()


async def test_rows_that_redis_forgets_are_written_with_these_rights(server: RedisServer) -> None:
    keys = (FieldSpec(name="user", dtype="Int64"),)
    view = BatchViewSpec(name="ages", join_keys=keys, features=(FieldSpec(name="age", dtype="Int64"),))
    plan = Plan(project="clicks", batch_views=(view,), online=OnlineStoreSpec(key_ttl_s=3600))
    ones = (np.ones(1, np.int64), np.ones(1, np.bool_))
    for account in ("apply", "worker", "rebuild"):
        sink = RedisOnlineSink(url_of(server.url, account), plan)
        await sink.write_batch_view("ages", [np.ones(1, np.int64)], [ones], np.array([1_700_000_000_000_000]))
        await sink.close()
    with redis.Redis.from_url(url_of(server.url, "apply")) as client:
        assert remove_rows(client, "clicks", "ages", ["user"], ["age"]) == 1
    assert refused(server.url.replace("//", f"//:{ADMIN}@")) == []


@pytest.mark.parametrize("account", sorted(documented_accounts()))
def test_no_account_may_do_more(server: RedisServer, account: str) -> None:
    with redis.Redis.from_url(url_of(server.url, account)) as client:
        assert client.ping()
        forbidden = [*_FORBIDDEN]
        forbidden += [("SET", "headrace:clicks:plan", "x")] * (account != "apply")
        forbidden += [("HSET", "headrace:clicks:models", "a", "x")] * (account != "train")
        for command in forbidden:
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command)
