"""The OpenAPI document of the feature server."""

from __future__ import annotations

from functools import cache
from typing import Any

from headrace.learners.feature_server.api import FeatureAnswer, FeatureRequest
from headrace.learners.feature_server.push_api import PushAnswer, PushRequest, WriteRequest
from headrace.learners.serving.openapi import Operation, describe

_OPERATIONS = (
    Operation("post", "/get-online-features", "Read online features", (FeatureRequest,), (FeatureAnswer,)),
    Operation("post", "/push", "Push rows to a push source", (PushRequest,), (PushAnswer,)),
    Operation("post", "/write-to-online-store", "Push rows to one view", (WriteRequest,), (PushAnswer,)),
)


@cache
def feature_openapi(version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of all operations."""
    return describe("Headrace features", version, _OPERATIONS)
