"""The OpenAPI document describes every operation that is served."""

from __future__ import annotations

import json

from headrace.learners.operating.desk import ModelDesk
from headrace.learners.serving.endpoints import Endpoints, Readiness
from headrace.learners.serving.metrics import ServiceMetrics
from headrace.learners.serving.openapi import openapi
from headrace.learners.serving.operator_endpoints import OperatorEndpoints
from headrace.learners.serving.prediction_log import PredictionLog
from headrace.schemas.plan import Plan
from headrace.streams.runtime.health import PlanHealth


async def never_ready() -> Readiness:
    return Readiness({"models": False})


def test_every_operation_that_is_served_is_described_and_no_other() -> None:
    log = PredictionLog("127.0.0.1:1")
    routes = Endpoints({}, never_ready, lambda: PlanHealth("h"), log, ServiceMetrics()).routes()
    plan = Plan(project="shop")
    routes += OperatorEndpoints(ModelDesk("127.0.0.1:1", plan, b"0123456789abcdef"), plan, ()).routes()
    served = {(route.path, method) for route in routes for method in route.methods or () if method != "HEAD"}
    document = openapi("router", "1")
    described = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    assert described == {(path, method) for path, method in served if path.startswith("/v1/")}


def test_every_reference_leads_to_a_schema_and_refusals_are_described() -> None:
    document = openapi("router", "1.2")
    assert document["info"] == {"title": "router", "version": "1.2"}
    named = {part.split('"')[0] for part in json.dumps(document).split("#/components/schemas/")[1:]}
    assert {"PredictRequest", "OutcomeBatch", "ErrorResponse"} <= named
    assert named <= document["components"]["schemas"].keys()
    for methods in document["paths"].values():
        for operation in methods.values():
            assert ("422" in operation["responses"]) == ("requestBody" in operation)
