"""Requests that are refused, tokens, and Feast's own client as the one that asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from headrace.deploy.local.child import free_port
from headrace.learners.feature_server.config import FeatureServerConfig
from headrace.learners.feature_server.process import FeatureServer
from headrace.schemas.plan import Plan
from headrace.streams.connections.redis import redis_client
from tests.support.http_service import Connection, listening
from tests.support.matches import materialized, registered_matches
from tests.support.request_fuzz import FEATURES, RequestFuzz, send

PATH = "/get-online-features"
GOALS = {"entities": {"team": ["a", "nobody"]}, "features": ["squads:goals"]}
TOKENS = ("first-" * 6, "second-" * 6)
ON_DEMAND = """
@on_demand_feature_view(
    sources=[squads, RequestSource(name="asked", schema=[Field(name="odds", dtype=Float64)])],
    schema=[Field(name="worth", dtype=Float64)],
    mode="pandas",
)
def worth(inputs):
    inputs["worth"] = inputs["goals"] * inputs["odds"]
    return inputs[["worth"]]


valued = FeatureService(name="valued", features=[squads, worth])
"""


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Path:
    return registered_matches(tmp_path_factory.mktemp("matches") / "repo", redis_url, ON_DEMAND)


@pytest.fixture(scope="module")
def plan(repo: Path, redis_url: str) -> Plan:
    return materialized(repo, redis_url)


@pytest.fixture(scope="module")
def client(repo: Path, plan: Plan, redis_url: str) -> Iterator[TestClient]:
    with TestClient(FeatureServer(plan, redis_url, repo).app, base_url="http://localhost") as client:
        yield client


def vectors(answer: Any) -> dict[str, list[Any]]:
    assert answer.status_code == 200, answer.text
    told = answer.json()
    names, results = told["metadata"]["feature_names"], told["results"]
    return {name: vector["values"] for name, vector in zip(names, results, strict=True)}


def test_a_service_is_answered_with_its_names_and_columns(client: TestClient) -> None:
    asked = {"feature_service": "match", "full_feature_names": True}
    entities = {"home_team": ["a"], "away_team": ["b"], "team": ["b"], "more": [1]}
    found = vectors(client.post(PATH, json=asked | {"entities": entities, "of_a_newer_client": True}))
    assert found["home_team"] == ["a"]
    assert found["squads__goals"] == [40]
    assert {"home__goals", "home__form", "away__form", "duels__won"} < set(found)


def test_an_on_demand_view_is_computed(client: TestClient) -> None:
    entities = {"team": ["b", "nobody"], "odds": [1.5, 2.0]}
    found = vectors(client.post(PATH, json={"entities": entities, "feature_service": "valued"}))
    assert found == {"team": ["b", "nobody"], "goals": [40, None], "worth": [60.0, None]}


@pytest.mark.parametrize(
    ("body", "status", "field", "told"),
    [
        ("{", 400, None, "not JSON"),
        ({"features": ["teams:goals"]}, 422, "entities", "Field required"),
        ({"entities": {"team": "a"}, "features": ["teams:goals"]}, 422, "entities.team", "list"),
        ({"entities": {"team": ["a"]}}, 422, "features", "Name features, or a feature_service"),
        ({**GOALS, "features": ["goals"]}, 422, "features", "Write it as view:feature"),
        ({**GOALS, "features": ["team:goals"]}, 404, "features", "did you mean 'teams'"),
        ({**GOALS, "features": ["teams:goal"]}, 404, "features", "did you mean 'goals'"),
        ({**GOALS, "feature_service": "matches"}, 404, "feature_service", "did you mean 'match'"),
        ({**GOALS, "features": ["teams@v2:goals"]}, 422, "features", "take '@v2' out"),
        ({**GOALS, "features": ["teams:goals"] * 2}, 422, "features", "asked for twice"),
        ({**GOALS, "entities": {"club": ["a"]}}, 422, "entities", "'team'"),
        ({**GOALS, "entities": {"team": [7]}}, 422, "entities", "takes text; row 0 has 7"),
        ({**GOALS, "entities": {"team": [["a"]]}}, 422, "entities", "takes text"),
        ({**GOALS, "entities": {"team": ["a"] * 200_001}}, 413, "entities", "ask in several requests"),
        ({**GOALS, "include_feature_view_version_metadata": True}, 422,
         "include_feature_view_version_metadata", "Leave it out"),
        ({"entities": {"team": ["a"], "odds": ["x"]}, "feature_service": "valued"}, 422, "odds",
         "no Float64"),
        ({"entities": {"team": ["a", "b"], "odds": [1.0]}, "feature_service": "valued"}, 422, "entities",
         "differ in length"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_says_why(
    client: TestClient, body: Any, status: int, field: str | None, told: str
) -> None:
    headers = {"Content-Type": "application/json"}
    sent = {"content": body, "headers": headers} if isinstance(body, str) else {"json": body}
    answer = client.post(PATH, **sent)
    assert (answer.status_code, answer.json()["field"]) == (status, field), answer.text
    assert told in answer.json()["message"]


@pytest.mark.parametrize(
    "damage", [b"\x00", b"\xff" * 9, b"\x08", b"\x08" + b"\xff" * 8 + b"\x7f", b"\x10\xff\x01"]
)
def test_a_damaged_row_is_told_and_is_no_error_of_the_service(
    client: TestClient, plan: Plan, redis_url: str, damage: bytes
) -> None:
    redis = redis_client(redis_url)
    rows = [key for key in redis.scan_iter() if key.endswith(plan.project.encode())]
    before = {key: redis.hgetall(key) for key in rows if redis.type(key) == b"hash"}
    asked = {"entities": {"team": ["a", "b"]}, "features": ["squads:goals"]}
    try:
        for field in sorted({name for row in before.values() for name in row}):
            for key, row in before.items():
                if field in row:
                    redis.hset(key, field, damage)
            answer = client.post(PATH, json=asked)
            assert answer.status_code in (200, 503), (field, answer.text)
            assert answer.status_code == 200 or "cannot be read" in answer.json()["message"]
            for key, row in before.items():
                redis.hset(key, mapping=row)
    finally:
        redis.close()
    assert client.post(PATH, json=asked).status_code == 200


def test_a_page_of_another_host_is_not_answered(client: TestClient) -> None:
    assert client.post(PATH, json=GOALS, headers={"Host": "evil.example"}).status_code == 421
    assert client.post(PATH, content="{}", headers={"Content-Type": "text/plain"}).status_code == 415


def test_features_are_for_those_who_bear_a_token(repo: Path, plan: Plan, redis_url: str) -> None:
    server = FeatureServer(plan, redis_url, repo, FeatureServerConfig(tokens=TOKENS))
    with TestClient(server.app, base_url="http://localhost") as client:
        for header in ({}, {"Authorization": "Bearer"}, {"Authorization": f"Basic {TOKENS[0]}"},
                       {"Authorization": "Bearer other"}):  # fmt: skip
            answer = client.post(PATH, json=GOALS, headers=header)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert "feature_tokens" in answer.json()["message"]
        for token in TOKENS:
            answer = client.post(PATH, json=GOALS, headers={"Authorization": f"Bearer {token}"})
            assert vectors(answer) == {"team": ["a", "nobody"], "goals": [30, None]}
        assert client.get("/healthz").status_code == client.get("/health").status_code == 200
    assert TOKENS[0] not in repr(server._config)


def test_readiness_metrics_and_openapi(client: TestClient, repo: Path, plan: Plan) -> None:
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["redis"], plan.hash[:12] in str(ready.json())) == (
        200,
        True,
        True,
    )
    assert (
        'headrace_http_requests_total{path="/get-online-features",status="404"}'
        in client.get("/metrics").text
    )
    assert PATH in client.get("/openapi.json").json()["paths"]
    away = FeatureServer(plan, "redis://127.0.0.1:1/0", repo)
    with TestClient(away.app, base_url="http://localhost") as client:
        assert client.get("/readyz").status_code == 503
        answer = client.post(PATH, json=GOALS)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize("count", [500, pytest.param(100_000, marks=pytest.mark.faults)])
def test_no_request_is_answered_with_an_error_of_the_service(
    repo: Path, plan: Plan, redis_url: str, count: int
) -> None:
    port = free_port()
    server = FeatureServer(plan, redis_url, repo, FeatureServerConfig(port=port))
    with listening(server.server()):
        answers = send(RequestFuzz(FEATURES, 13).requests(count), lambda: Connection(port))
    assert answers.statuses.total() == count
    assert {200, 400, 404, 415, 421, 422, 431} <= set(answers.statuses)
    assert max(answers.statuses) < 500, answers.statuses
