"""Every process runs with an account of Redis that has exactly the documented rights."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from headrace import FeatureClient
from headrace.deploy.local.redis_server import RedisServer
from headrace.deploy.stack import LocalStack, Process
from tests.support.clicks_project import NOON_MS, make_clicks_project, post
from tests.support.redis_accounts import PASSWORD, documented_accounts, make_accounts, refused, url_of
from tests.support.waiting import PATIENCE_S, eventually


class AccountsStack(LocalStack):
    """A stack in which each process has its own account."""

    server: RedisServer

    def _environment(self, name: Process) -> dict[str, str]:
        return {**super()._environment(name), "HEADRACE_REDIS": url_of(self.server, name)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("accounts")) as server:
        make_accounts(server, "clicks")
        yield server


def test_every_process_the_sdk_and_the_commands_run_with_these_rights_alone(
    server: RedisServer, tmp_path: Path
) -> None:
    project = make_clicks_project(tmp_path)
    stack = AccountsStack(project, redis_url=url_of(server, "apply"), publish_every_s=0.05)
    stack.server = server
    with stack:
        assert PASSWORD not in stack.describe()
        request = {"entities": {"user": "ada"}, "request": {"page": "home"}, "ts_ms": NOON_MS}
        answer = post(stack, "/v1/predict", request)
        outcome = {"prediction_id": answer["prediction_id"], "label": 1, "ts_ms": NOON_MS + 1}
        post(stack, "/v1/outcomes", outcome)
        with FeatureClient.connect(
            url_of(server, "sdk"), "clicks", plan_key=stack.settings.plan_signing_key()
        ) as client:
            for service in client.plan.services:
                client.get_online_features(service.name, {"user": ["ada"]})
        eventually(
            lambda: post_arms(stack), "a version that has learned", lambda arms: "1.0" not in arms
        )
        environment = stack.settings.environment() | {
            "HEADRACE_REDIS": url_of(server, "status"), "HEADRACE_KAFKA": stack.bootstrap
        }
        told = subprocess.run(
            [sys.executable, "-m", "headrace", "status", str(project)],
            env=environment, capture_output=True, text=True, timeout=PATIENCE_S,
        )  # fmt: skip
        assert told.returncode == 0, told.stderr
        assert refused(server) == []


def post_arms(stack: LocalStack) -> list[str]:
    import json
    import urllib.request

    with urllib.request.urlopen(f"{stack.serve_url}/v1/arms", timeout=PATIENCE_S) as answer:
        routers = json.load(answer)["routers"]
    return [arm["version"] for router in routers for arm in router["arms"]]


@pytest.mark.parametrize("account", sorted(documented_accounts()))
def test_no_account_may_do_more(server: RedisServer, account: str) -> None:
    with redis.Redis.from_url(url_of(server, account)) as client:
        assert client.ping()
        for command in (
            ("CONFIG", "GET", "*"), ("FLUSHALL",), ("KEYS", "*"), ("ACL", "LIST"), ("GET", "another"),
            ("SET", "headrace:other:plan", "x"), ("CLIENT", "KILL", "TYPE", "normal"), ("DEBUG", "SLEEP", "0"),
        ):  # fmt: skip
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command)
        if account != "apply":
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.set("headrace:clicks:plan", "x")
        if account not in ("train",):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.hset("headrace:clicks:models", "a", "x")
