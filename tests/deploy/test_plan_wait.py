"""A process that is started before `apply`, or beside the plan of another repository, waits for its plan."""

from __future__ import annotations

import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from headrace.deploy.commands.apply import apply_plan, compile_project
from headrace.deploy.local.child import Child, free_port
from headrace.deploy.plan_wait import PlanWait
from headrace.deploy.settings import Settings, load_settings
from headrace.featurestore.plans.store import PlanStore, plan_key
from headrace.schemas.errors import DefinitionError, PlanError
from headrace.schemas.plan import Plan
from headrace.streams.connections.redis import redis_client
from headrace.streams.runtime.plan_watch import EXIT_REPLACED
from tests.support.batch_project import add_view, batch_project
from tests.support.replicas import Replica
from tests.support.waiting import PATIENCE_S, eventually


@pytest.fixture
def settings(redis_url: str, project: str, tmp_path: Path) -> Settings:
    folder = batch_project(tmp_path / "shop", project)
    return load_settings(folder, redis=redis_url, follow_plan=True, host="127.0.0.1")


def asked(port: int, path: str) -> tuple[int, str]:
    """Status and text of an answer; 0 where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def apply(settings: Settings) -> None:
    apply_plan(settings, compile_project(settings.project_dir).plan)


def test_one_that_is_started_before_apply_is_alive_and_takes_up_the_plan_once_it_is_there(
    settings: Settings, tmp_path: Path
) -> None:
    features = Replica("features", settings.project_dir, settings.environment(), tmp_path / "features.log")
    features.child.start()
    try:
        status, text = eventually(
            lambda: asked(features.port, "/readyz"), "an answer", lambda answer: answer[0] != 0
        )
        assert (status, "has no plan in Redis; run `headrace apply`" in text) == (503, True)
        assert asked(features.port, "/healthz") == (200, "alive\n")
        apply(settings)
        eventually(features.is_ready, "a server of the plan")
    finally:
        features.child.kill()


def test_the_first_process_of_a_container_ends_at_sigterm(settings: Settings, tmp_path: Path) -> None:
    """The kernel does not end that one by a signal that it does not handle."""
    port, alone = free_port(), ["unshare", "--user", "--map-root-user", "--pid", "--fork"]
    words = ["features", str(settings.project_dir), "--port", str(port)]
    command = [*alone, sys.executable, "-P", "-m", "headrace", *words]
    features = Child("features", command, tmp_path / "log", settings.project_dir, settings.environment())
    features.start()
    try:
        features.wait_until(lambda: asked(port, "/healthz")[0] == 200, PATIENCE_S)
        (first,) = Path(f"/proc/{features.pid}/task/{features.pid}/children").read_text().split()
        os.kill(int(first), signal.SIGTERM)
        ended = eventually(lambda: features.exit_code, "its end", lambda code: code is not None)
    finally:
        features.kill()
    assert ended == 128 + signal.SIGTERM


def test_without_the_setting_it_ends_at_once(settings: Settings) -> None:
    alone = settings.model_copy(update={"follow_plan": False})
    with redis_client(settings.redis) as client:
        plans = PlanStore(client, settings.project_name, settings.plan_signing_key())
        with pytest.raises(PlanError, match="run `headrace apply`"):
            PlanWait(alone, "worker", plans).plan()
        apply(settings)
        plan = PlanWait(alone, "worker", plans).plan()
        with pytest.raises(DefinitionError), PlanWait(alone, "worker", plans).until_it_fits(plan):
            raise DefinitionError("features.py", "view", "is another", "Apply it")


def test_one_that_cannot_use_the_plan_in_force_waits_for_one_that_it_can(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """As an image that was rolled back: the plan may be of a newer version, or signed with another key."""
    apply(settings)
    with redis_client(settings.redis) as client:
        other = settings.model_copy(update={"plan_key": SecretStr("another key of thirty-two letters")})
        plans = _PutRight(client, settings.project_name, other.plan_signing_key())
        plans.put_right = lambda: apply(other)
        plan = PlanWait(other, "worker", plans).plan()
    assert plan == plans.load()
    assert "is not signed" in caplog.text


class _PutRight(PlanStore):
    """Plans that are put right once somebody waits for them."""

    put_right: Callable[[], None]
    _loads = 0

    def load(self, hash: str | None = None) -> Plan:
        self._loads += 1
        if self._loads == 2:
            self.put_right()
        return super().load(hash)


def test_one_whose_repository_the_plan_does_not_fit_ends_once_another_is_there(settings: Settings) -> None:
    """It is started anew then. A plan that is lost is no other one."""
    apply(settings)
    waiting = settings.model_copy(update={"metrics_port": free_port()})
    with redis_client(settings.redis) as client:
        plans = _Steps(client, settings, waiting.metrics_port)
        wait = PlanWait(waiting, "worker", plans)
        plan = wait.plan()
        with pytest.raises(SystemExit) as ended, wait.until_it_fits(plan):
            raise DefinitionError("features.py", "view", "is another", "Apply it")
    assert ended.value.code == EXIT_REPLACED
    assert plans.said[0][0] == 503
    assert f"Waiting for another plan than {plan.hash[:12]}" in plans.said[0][1]
    assert asked(waiting.metrics_port, "/readyz") == (0, "")


class _Steps(PlanStore):
    """Plans of which one is lost at the first look, and another comes in force at the second."""

    def __init__(self, client: object, settings: Settings, port: int) -> None:
        super().__init__(client, settings.project_name, settings.plan_signing_key())  # type: ignore[arg-type]
        self._settings, self._port, self._looks = settings, port, 0
        self.said: list[tuple[int, str]] = []

    def hash_in_force(self) -> str | None:
        self._looks += 1
        if self._looks == 2:  # behind that of `plan`
            self.said.append(asked(self._port, "/readyz"))
            self._redis.delete(plan_key(self._project))
        if self._looks == 3:
            add_view(self._settings.project_dir)
            apply(self._settings)
        return super().hash_in_force()
