"""`serve` and `features` are replaced one by one under load, as a cluster does it, and no request is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.deploy.stack import LocalStack
from tests.support.clicks_project import make_clicks_project
from tests.support.replicas import Clients, Replica
from tests.support.waiting import PATIENCE_S, eventually

ASKED: dict[str, tuple[str, Any]] = {
    "serve": ("/v1/predict", {"entities": {"user": "ada"}}),
    "features": (
        "/get-online-features",
        {"feature_service": "everything", "entities": {"user": ["ada"]}},
    ),
}


@pytest.fixture(scope="module")
def stack(servers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    project = make_clicks_project(tmp_path_factory.mktemp("project"))
    with LocalStack(project, processes=()) as running:
        yield running


@pytest.mark.parametrize("command", list(ASKED))
def test_no_request_is_lost_while_a_replica_takes_the_place_of_another(
    stack: LocalStack, tmp_path: Path, command: str
) -> None:
    settings = stack.settings.model_copy(update={"drain_s": 3600.0})
    old, new = (
        Replica(command, settings.project_dir, settings.environment(), tmp_path / f"{name}.log")
        for name in ("old", "new")
    )
    clients = Clients(*ASKED[command])
    try:
        old.start()
        clients.endpoints = (old,)
        with clients.asking():
            new.start()
            clients.endpoints = (old, new)
            clients.wait_for_turns(4)
            old.child.terminate()
            eventually(old.is_ready, "a replica that is not ready", lambda ready: not ready)
            before = clients.answers[old.port]
            clients.wait_for_turns(200)  # the endpoints still have it: what says so takes its time
            assert clients.answers[old.port] > before
            clients.endpoints = (new,)
            clients.wait_for_turns(2)
            old.child.terminate()  # in place of the time that the setting says
            eventually(lambda: old.child.exit_code, "a replica that has ended", lambda code: code is not None)
            clients.wait_for_turns(4)
    finally:
        codes = [
            replica.child.stop(PATIENCE_S) if replica is old else replica.child.kill()
            for replica in (old, new)
        ]
    assert clients.losses == []
    assert clients.answers[new.port] > 0
    assert codes[0] == -15, old.child.last_lines()
