"""Rows that are pushed over HTTP, as clients of Feast's feature server send them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from headrace import FeatureClient
from headrace.deploy.local.child import free_port
from headrace.featurestore.plans.store import PlanStore
from headrace.learners.feature_server.config import FeatureServerConfig
from headrace.learners.feature_server.process import FeatureServer
from headrace.schemas.feature_specs import BatchViewSpec, FieldSpec
from headrace.schemas.plan import Plan
from headrace.schemas.push_specs import PushSourceSpec
from tests.support.http_service import Connection, listening
from tests.support.pushed_plan import FEATURES, USER, pushed_plan
from tests.support.request_fuzz import PUSH, RequestFuzz, send

DF: dict[str, list[Any]] = {
    "user": [1, 2],
    "place": ["a", "b"],
    "points": [0.5, None],
    "name": ["ada", "eve"],
    "at": ["2024-01-01 12:00:00", "2024-01-01T21:00:00+09:00"],
}
ROWS = {"push_source_name": "scores", "df": DF}
TOKENS = ("reader-" * 6, "pusher-" * 6)


@pytest.fixture
def plan(project: str) -> Plan:
    return pushed_plan(project)


@pytest.fixture
def server(plan: Plan, redis_url: str, tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(FeatureServer(plan, redis_url, tmp_path).app, base_url="http://localhost") as client:
        yield client


def read(plan: Plan, redis_url: str) -> list[list[Any]]:
    with FeatureClient(plan, redis_url) as client:
        found = client.get_online_features(FEATURES, {"user": [1, 2], "place": ["a", "b"]})
    return list(found.columns.values())


def test_rows_are_written_as_feasts_documentation_pushes_them(
    server: TestClient, plan: Plan, redis_url: str
) -> None:
    body = {**ROWS, "to": "online", "allow_registry_cache": False, "transform_on_write": True, "later": 1}
    answer = server.post("/push", json=body)
    assert (answer.status_code, answer.json()) == (200, {"written": {"places": 2, "users": 2}})
    assert read(plan, redis_url) == [[0.5, None], ["ada", "eve"], [0.5, None]]
    assert server.post("/push", json=body).json() == {"written": {"places": 0, "users": 0}}
    assert "headrace_feature_pushed_rows_total 4.0" in server.get("/metrics").text
    assert {"/push", "/write-to-online-store"} <= server.get("/openapi.json").json()["paths"].keys()


def test_a_frame_may_be_what_to_dict_gives_by_default(server: TestClient) -> None:
    df = {name: dict(enumerate(column)) for name, column in DF.items()}
    answer = server.post("/push", json=ROWS | {"df": df})
    assert answer.json() == {"written": {"places": 2, "users": 2}}


@pytest.mark.parametrize(
    ("body", "status", "field", "told"),
    [
        ("{", 400, None, "not JSON"),
        (json.dumps(ROWS).replace('"ada"', '"\\ud800"'), 400, None, "not JSON"),
        (json.dumps(ROWS).replace("0.5", "NaN"), 400, None, "not JSON"),
        (json.dumps(ROWS).replace("0.5", "7" * 5000), 400, None, "not JSON"),
        ({"df": DF}, 422, "push_source_name", "Field required"),
        ({"push_source_name": "scores"}, 422, "df", "Field required"),
        (ROWS | {"df": [1]}, 422, "df", "dictionary"),
        (ROWS | {"push_source_name": "score"}, 404, "push_source_name", "did you mean 'scores'"),
        (ROWS | {"to": "offline"}, 422, "to", "Send 'online', and write the rows to table "),
        (ROWS | {"to": "online_and_offline"}, 422, "to", "to the online store alone"),
        (ROWS | {"to": "both"}, 422, "to", "'both' is no store to push to. Send 'online'"),
        (ROWS | {"df": DF | {"user": [1, "x"]}}, 422, "df.user[1]", "'x' is no Int64"),
        (ROWS | {"df": DF | {"user": [1, None]}}, 422, "df.user[1]", "it is null, and rows are found by it"),
        (ROWS | {"df": DF | {"user": [1]}}, 422, "df.place", "it has 2 values, the first column 1"),
        (ROWS | {"df": DF | {"user": 7}}, 422, "df.user", "an int is no column"),
        (ROWS | {"df": DF | {"at": ["9999-12-31", "x"]}}, 422, "df.at[0]", "is no time between the years"),
        (ROWS | {"df": DF | {"at": ["2024-01-01", 17]}}, 422, "df.at[1]", "17 is no time between"),
        (ROWS | {"df": {"user": [1]}}, 422, "df", "takes 'score', 'name', 'place', 'at'"),
        (ROWS | {"df": DF | {"score": [1, 2]}}, 422, "df", "both stand for 'score'"),
        (ROWS | {"df": DF | {"points": [0.5, {"a": 1}]}}, 422, "df.points[1]", "is no Float64"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_says_why_and_writes_nothing(
    server: TestClient, plan: Plan, redis_url: str, body: Any, status: int, field: str | None, told: str
) -> None:
    headers = {"Content-Type": "application/json"}
    sent = {"content": body, "headers": headers} if isinstance(body, str) else {"json": body}
    answer = server.post("/push", **sent)
    assert (answer.status_code, answer.json()["field"]) == (status, field), answer.text
    assert told in answer.json()["message"]
    assert read(plan, redis_url) == [[None, None]] * 3


def test_what_the_server_answers_can_be_pushed_back(project: str, redis_url: str, tmp_path: Path) -> None:
    """Bytes are base64, numbers that are not finite are texts, times are seconds or text."""
    types = {
        "raw": "Bytes", "big": "Float64", "bigs": "Array(Float64)", "seen": "UnixTimestamp",
        "words": "Set(String)", "raws": "Array(Bytes)", "whole": "Int32",
    }  # fmt: skip
    features = tuple(FieldSpec(name=name, dtype=dtype) for name, dtype in types.items())  # type: ignore[arg-type]
    plan = Plan(
        project=project,
        batch_views=(BatchViewSpec(name="v", join_keys=(USER,), features=features),),
        push_sources=(PushSourceSpec(name="p", timestamp_field="at", views=("v",)),),
    )
    values = {
        "raw": base64.b64encode(b"\x00a").decode(), "big": "-Infinity", "bigs": [1.5, "NaN", "Infinity"],
        "seen": 1704067200, "words": ["a"], "raws": ["", "YWJj"], "whole": 7,
    }  # fmt: skip
    df = {name: [value] for name, value in values.items()}
    with TestClient(FeatureServer(plan, redis_url, tmp_path).app, base_url="http://localhost") as server:
        sent = {"push_source_name": "p", "df": df | {"user": [1], "at": ["2024-01-01"]}}
        assert server.post("/push", json=sent).json() == {"written": {"v": 1}}
        asked = {"entities": {"user": [1]}, "features": [f"v:{name}" for name in types]}
        told = server.post("/get-online-features", json=asked).json()
        names = told["metadata"]["feature_names"]
        found = {name: vector["values"] for name, vector in zip(names, told["results"], strict=True)}
        assert found == df | {"user": [1]}
        again = {"push_source_name": "p", "df": found | {"at": ["2025-01-01"]}}
        assert server.post("/push", json=again).json() == {"written": {"v": 1}}
        wrong = {"push_source_name": "p", "df": df | {"user": [1], "at": ["2026-01-01"], "raw": ["%"]}}
        answer = server.post("/push", json=wrong)
        assert (answer.status_code, answer.json()["field"]) == (422, "df.raw[0]")


def test_rows_of_one_view_are_written_as_feasts_remote_client_sends_them(
    server: TestClient, plan: Plan, redis_url: str
) -> None:
    df = {
        "user": [1],
        "points": [2.0],
        "name": ["ada"],
        "event_timestamp": ["2024-01-01T12:00:00"],
        "created": [None],
    }
    body = {"feature_view_name": "users", "df": df, "allow_registry_cache": False}
    assert server.post("/write-to-online-store", json=body).json() == {"written": {"users": 1}}
    assert [column[0] for column in read(plan, redis_url)] == [2.0, "ada", None]
    for name, status, told in (("tables", 422, "on no push source"), ("user", 404, "did you mean 'users'")):
        answer = server.post("/write-to-online-store", json=body | {"feature_view_name": name})
        assert (answer.status_code, answer.json()["field"]) == (status, "feature_view_name")
        assert told in answer.json()["message"]


@pytest.mark.parametrize(
    ("tokens", "push_tokens", "header", "status"),
    [
        ((), (), None, 200),
        ((), TOKENS[1:], None, 401),
        ((), TOKENS[1:], TOKENS[1], 200),
        (TOKENS[:1], (), TOKENS[0], 403),
        (TOKENS[:1], TOKENS[1:], TOKENS[0], 401),
        (TOKENS[:1], TOKENS[1:], TOKENS[1], 200),
    ],
)
def test_a_token_that_reads_does_not_push(
    plan: Plan,
    redis_url: str,
    tmp_path: Path,
    tokens: tuple[str, ...],
    push_tokens: tuple[str, ...],
    header: str | None,
    status: int,
) -> None:
    config = FeatureServerConfig(tokens=tokens, push_tokens=push_tokens)
    server = FeatureServer(plan, redis_url, tmp_path, config)
    headers = {} if header is None else {"Authorization": f"Bearer {header}"}
    with TestClient(server.app, base_url="http://localhost") as client:
        answer = client.post("/push", json=ROWS, headers=headers)
        assert answer.status_code == status
        if status != 200:
            assert "push_tokens" in answer.json()["message"]
            assert (
                answer.status_code
                == client.post("/write-to-online-store", headers=headers, json={}).status_code
            )
    assert TOKENS[1] not in repr(server._config)


def test_a_redis_that_is_away_and_another_plan_in_force_are_told(
    plan: Plan, redis_url: str, tmp_path: Path, server: TestClient
) -> None:
    away = FeatureServer(plan, "redis://127.0.0.1:1/0?retries=0", tmp_path)
    with TestClient(away.app, base_url="http://localhost") as client:
        answer = client.post("/push", json=ROWS)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "push them again" in answer.json()["message"]
    PlanStore(redis_url, plan.project).save(plan.model_copy(update={"push_sources": ()}))
    answer = server.post("/push", json=ROWS)
    assert (answer.status_code, "another plan in force" in answer.json()["message"]) == (503, True)


@pytest.mark.parametrize("count", [400, pytest.param(50_000, marks=pytest.mark.faults)])
def test_no_push_is_answered_with_an_error_of_the_service(
    plan: Plan, redis_url: str, tmp_path: Path, count: int
) -> None:
    port = free_port()
    server = FeatureServer(plan, redis_url, tmp_path, FeatureServerConfig(port=port))
    with listening(server.server()):
        answers = send(RequestFuzz(PUSH, 17).requests(count), lambda: Connection(port))
    assert answers.statuses.total() == count
    assert {200, 400, 415, 422} <= set(answers.statuses)
    assert max(answers.statuses) < 500, answers.statuses
