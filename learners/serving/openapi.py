"""The OpenAPI document of the router's HTTP API, generated from the request and response models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from headrace.learners.serving import api, operator_api

_REF = "#/components/schemas/{model}"


@dataclass(frozen=True)
class Operation:
    """One endpoint: the models of its request body, none where it takes no body, and of its response."""

    method: str
    path: str
    summary: str
    requests: tuple[type[BaseModel], ...]
    responses: tuple[type[BaseModel], ...]


OPERATIONS = (
    Operation("post", "/v1/predict", "Predict one", (api.PredictRequest,), (api.PredictResponse,)),
    Operation(
        "post", "/v1/predict:batch", "Predict several", (api.PredictBatch,), (api.PredictBatchResponse,)
    ),
    Operation(
        "post",
        "/v1/outcomes",
        "Report one outcome or several",
        (api.OutcomeRequest, api.OutcomeBatch),
        (api.OutcomeResponse, api.OutcomeBatchResponse),
    ),
    Operation("get", "/v1/routers", "Routers of the plan", (), (api.RoutersResponse,)),
    Operation("get", "/v1/arms", "Versions, epoch and propensities", (), (api.ArmsResponse,)),
    Operation("get", "/v1/models", "Versions that are kept", (), (operator_api.ModelsResponse,)),
    Operation("get", "/v1/models/{name}", "A version", (), (operator_api.ModelResponse,)),
    Operation("get", "/v1/models/{name}/diff", "Two versions compared", (), (operator_api.DiffResponse,)),
    Operation("get", "/v1/models/{name}/card", "Card of a version", (), (operator_api.CardResponse,)),
    Operation(
        "post",
        "/v1/models/{name}/operations",
        "Pin, unpin, roll back, promote or reset a learner, with a token of `operate_tokens`",
        (operator_api.OperationRequest,),
        (operator_api.OperationResponse,),
    ),
)


@cache
def openapi(title: str, version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of all operations."""
    return describe(title, version, OPERATIONS)


def describe(title: str, version: str, operations: Sequence[Operation]) -> dict[str, Any]:
    """Return an OpenAPI 3.1 document."""
    models = {m for o in operations for m in (*o.requests, *o.responses)} | {api.ErrorResponse}
    inputs = [(m, "validation") for m in sorted(models, key=lambda m: m.__name__)]
    _, schemas = models_json_schema(inputs, ref_template=_REF)  # type: ignore[arg-type]
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = _describe(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {"schemas": schemas["$defs"]},
    }


def _describe(operation: Operation) -> dict[str, Any]:
    description: dict[str, Any] = {
        "summary": operation.summary,
        "responses": {"200": {"description": "answered", "content": _content(operation.responses)}},
    }
    if operation.requests:
        description["requestBody"] = {"required": True, "content": _content(operation.requests)}
        refused = {"content": _content((api.ErrorResponse,))}
        description["responses"] |= {
            "400": {"description": "not JSON", **refused},
            "422": {"description": "a field is missing or wrong", **refused},
        }
    return description


def _content(models: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    refs = [{"$ref": _REF.format(model=model.__name__)} for model in models]
    return {"application/json": {"schema": refs[0] if len(refs) == 1 else {"oneOf": refs}}}
