"""The OpenAPI document, generated from the request and response models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from headrace.learners.serving import api

_REF = "#/components/schemas/{model}"


@dataclass(frozen=True)
class Operation:
    """One endpoint: what it takes, where it takes anything, and what it answers."""

    method: str
    path: str
    summary: str
    takes: tuple[type[BaseModel], ...]
    answers: tuple[type[BaseModel], ...]


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
)


def openapi(title: str, version: str) -> dict[str, Any]:
    """An OpenAPI 3.1 document of all operations."""
    models = {m for o in OPERATIONS for m in (*o.takes, *o.answers)} | {api.ErrorResponse}
    inputs = [(m, "validation") for m in sorted(models, key=lambda m: m.__name__)]
    _, schemas = models_json_schema(inputs, ref_template=_REF)  # type: ignore[arg-type]
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _describe(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {"schemas": schemas["$defs"]},
    }


def _describe(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": operation.summary,
        "responses": {"200": {"description": "answered", "content": _content(operation.answers)}},
    }
    if operation.takes:
        found["requestBody"] = {"required": True, "content": _content(operation.takes)}
        refused = {"content": _content((api.ErrorResponse,))}
        found["responses"] |= {
            "400": {"description": "not JSON", **refused},
            "422": {"description": "a field is missing or wrong", **refused},
        }
    return found


def _content(models: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    refs = [{"$ref": _REF.format(model=model.__name__)} for model in models]
    return {"application/json": {"schema": refs[0] if len(refs) == 1 else {"oneOf": refs}}}
