"""Requests that are refused, and what the service tells of itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from headrace.learners.serving.endpoints import Endpoints, Readiness
from headrace.learners.serving.metrics import ServiceMetrics
from headrace.learners.serving.prediction_log import PredictionLog
from headrace.streams.runtime.health import PlanHealth
from tests.support.service_scene import Scene, question

JSON = {"Content-Type": "application/json"}
REPLACED = "plan 5e88 is not in force any more, 0123 is: start this process anew"


@pytest.mark.parametrize(
    ("path", "body", "status", "field", "told"),
    [
        ("/v1/predict", "{", 400, None, "not JSON"),
        ("/v1/predict", "[]", 422, "body", "openapi.json"),
        ("/v1/predict", {"request": {}}, 422, "entities", "Field required"),
        ("/v1/predict", question(typo=1), 422, "typo", "Extra inputs"),
        ("/v1/predict", question(ts_ms="soon"), 422, "ts_ms", "integer"),
        ("/v1/predict", {"entities": {"origin": "E"}, "request": {f"f{n}": n for n in range(1_001)}}, 422,
         "request", "at most 1000"),
        ("/v1/predict", question(router="delay"), 422, "router", "did you mean 'delays'?"),
        ("/v1/predict", {"entities": {}, "request": {}}, 422, "requests[0].entities.origin", "missing"),
        ("/v1/predict", {"entities": {"origin": "E"}, "request": {"flight": "f"}}, 422,
         "requests[0].request.distance", "send null where it is not known"),
        ("/v1/predict", {"entities": {"origin": "E"}, "request": {"distance": 1, "flight": None}}, 422,
         "requests[0].flight", "traffic is split by it"),
        ("/v1/predict", question(origin=5), 422, "requests[0].entities.origin", "5 is no String"),
        ("/v1/predict:batch", {"requests": []}, 422, "requests", "at least 1"),
        ("/v1/predict:batch", {"requests": [{"entities": 3}]}, 422, "requests.0.entities", "dict"),
        ("/v1/predict", "[" * 100_000, 400, None, "recursion limit"),
        ("/v1/predict", "7" * 5_000, 400, None, "number out of range"),
        ("/v1/predict", '{"entities": {"origin": "\\ud800"}, "request": {}}', 400, None, "not JSON"),
        ("/v1/predict", '{"entities": {"origin": "E"}, "request": {"distance": NaN}}', 400, None, "not JSON"),
        ("/v1/predict", '{"entities": {"origin": "E"}, "request": {"flight": 1, "distance": 1e999}}', 422,
         "requests[0].request.distance", "inf is beyond 3.4e38"),
        ("/v1/predict", {"entities": {"origin": "E"}, "request": {"flight": "f", "distance": 1e155}}, 422,
         "requests[0].request.distance", "Send a number within"),
        ("/v1/predict", {"entities": {"origin": "E"}, "request": {"flight": "f", "distance": 10**19}}, 422,
         "requests[0].request.distance", "more than 64 bits"),
        ("/v1/predict", {"entities": {"origin": "E"}, "request": {"flight": "f", "distance": [1]}}, 422,
         "request.distance", "neither a number, nor text"),
        ("/v1/predict", question(flight="f\0"), 422, "requests[0].request.flight", "ends in NUL"),
        ("/v1/predict", question(flight="f" * 501), 422, "requests[0].flight", "shorter key"),
        ("/v1/predict", question(origin=None), 422, "requests[0].entities.origin", "features are read by it"),
        ("/v1/predict", question(ts_ms=-1), 422, "ts_ms", "greater than or equal to 0"),
        ("/v1/predict", question(ts_ms=10**19), 422, "requests[0].ts_ms", "behind the year 2262"),
        ("/v1/predict", question(ts_ms=4_102_444_800_000), 422, "requests[0].ts_ms", "at most 60000 ahead"),
        ("/v1/predict", question(key=1e300, prediction_id=""), 422, "prediction_id", "at least 1"),
        ("/v1/predict", question(note="x" * 1_500_000), 422, "note", "Extra inputs"),
        ("/v1/predict", question(flight="f", origin="E" * 1_500_000), 413, "requests[0]", "Send less"),
        ("/v1/outcomes", {"key": "k", "label": 1e200}, 422, "outcomes[0].label", "beyond 2**53"),
        ("/v1/outcomes", {"key": "k", "label": 3}, 422, "outcomes[0].label", "neither 0 nor 1"),
        ("/v1/outcomes", {"key": "k", "label": "late"}, 422, "outcomes[0].label", "kind='category'"),
        ("/v1/outcomes", {"key": "k", "label": None}, 422, "label", "the text of a class"),
        ("/v1/outcomes", {"key": "k", "label": "x" * 1001}, 422, "label", "the text of a class"),
        ("/v1/outcomes", '{"key": "k", "label": 1e999}', 422, "label", "the text of a class"),
        ("/v1/outcomes", {"key": "k", "label": 1, "ts_ms": 4_102_444_800_000}, 422,
         "outcomes[0].ts_ms", "ahead"),
        ("/v1/outcomes", {"prediction_id": "p", "label": 1}, 422, "outcomes[0].prediction_id", "as `key`"),
        ("/v1/outcomes", {"key": 10**30, "label": 1}, 422, "key", "more than 64 bits"),
        ("/v1/outcomes", {"key": "k"}, 422, "label", "Field required"),
        ("/v1/outcomes", {"label": 1}, 422, "body", "give either `key` or `prediction_id`"),
    ],
)  # fmt: skip
def test_malformed_requests_are_refused_with_the_field_and_the_way_out(
    shared: TestClient, path: str, body: Any, status: int, field: str | None, told: str
) -> None:
    content: dict[str, Any] = {"content": body, "headers": JSON} if isinstance(body, str) else {"json": body}
    response = shared.post(path, **content)
    assert response.status_code == status
    assert response.json()["field"] == field
    assert told in response.json()["message"]


@pytest.fixture(scope="module")
def shared(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service that needs no broker, for requests that are refused or only look."""
    scene = Scene("127.0.0.1:1", redis_url, "trefused", tmp_path_factory.mktemp("project"))
    with scene.serving(log_timeout_s=0.1) as client:
        yield client


def test_routers_metrics_and_openapi_are_told(shared: TestClient) -> None:
    router = shared.get("/v1/routers").json()["routers"][0]
    assert (router["name"], router["champion"], router["policy"]) == ("delays", "streaming", "thompson")
    assert "headrace_http_requests_total" in shared.get("/metrics").text
    document = shared.get("/openapi.json").json()
    paths = set(document["paths"])
    assert paths >= {"/v1/predict", "/v1/predict:batch", "/v1/outcomes", "/v1/routers", "/v1/arms"}
    assert paths >= {"/v1/models", "/v1/models/{name}/operations"}
    refs = str(document).split("#/components/schemas/")[1:]
    named = {ref.split("'")[0] for ref in refs}
    assert named <= set(document["components"]["schemas"])


async def test_a_service_is_ready_when_all_its_parts_are() -> None:
    assert await ready(Readiness({"models": False, "redis": True})) == (
        503,
        {"models": False, "redis": True, "plan": REPLACED},
    )


async def test_a_fault_that_is_coped_with_is_told_and_takes_no_replica_away() -> None:
    assert await ready(Readiness({"redis": True}, ["epoch 7 does not serve"])) == (
        200,
        {"redis": True, "faults": ["epoch 7 does not serve"], "plan": REPLACED},
    )


async def ready(readiness: Readiness) -> tuple[int, Any]:
    """Status and body of ``/readyz``."""

    async def ask() -> Readiness:
        return readiness

    plan = PlanHealth("5e88", "0123")
    endpoints = Endpoints({}, ask, lambda: plan, PredictionLog("127.0.0.1:1"), ServiceMetrics())
    (readyz,) = (route for route in endpoints.routes() if route.path == "/readyz")
    response = await readyz.endpoint(Request({"type": "http", "method": "GET", "path": "/readyz"}))
    return response.status_code, json.loads(response.body)
