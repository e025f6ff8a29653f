"""The HTTP endpoints of the feature server: those of Feast's that read, and those of every service."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headrace.learners.feature_server.api import FeatureRequest
from headrace.learners.feature_server.metrics import FeatureMetrics
from headrace.learners.feature_server.openapi import feature_openapi
from headrace.learners.feature_server.reader import FeatureReader
from headrace.learners.serving.guard import Handler, guarded
from headrace.learners.serving.json_body import parse, validate
from headrace.learners.serving.refusals import Refusal
from headrace.streams.runtime.health import PlanHealth

_BEARER: Final = "bearer "


class FeatureEndpoints:
    """Answers HTTP requests.

    Parameters
    ----------
    reader
        Reads features.
    tokens
        One of which a request for features must bear; empty for none.
    plan
        Returns the health of the plan that features are read by.
    metrics
        What ``/metrics`` shows.
    """

    def __init__(
        self,
        reader: FeatureReader,
        tokens: Sequence[str],
        plan: Callable[[], PlanHealth],
        metrics: FeatureMetrics,
    ) -> None:
        self._reader, self._plan, self._metrics = reader, plan, metrics
        self._tokens = [token.encode() for token in tokens]

    def routes(self) -> list[Route]:
        """Return the routes of a Starlette application."""
        endpoints: list[tuple[str, str, Handler]] = [
            ("POST", "/get-online-features", self._get_online_features),
            ("GET", "/health", self._health),
            ("GET", "/healthz", self._health),
            ("GET", "/readyz", self._readyz),
            ("GET", "/metrics", self._exposition),
            ("GET", "/openapi.json", self._openapi),
        ]
        return [Route(path, guarded(path, run), methods=[method]) for method, path, run in endpoints]

    async def _get_online_features(self, request: Request) -> Response:
        self._check_token(request.headers.get("authorization", ""))
        with self._metrics.seconds.time():
            asked = validate(parse(await request.body()), FeatureRequest)
            body = await self._reader.answer(asked)
        self._metrics.rows.inc(asked.rows)
        return Response(body, media_type="application/json")

    def _check_token(self, header: str) -> None:
        if not self._tokens:
            return
        given = header[len(_BEARER) :].strip().encode() if header.lower().startswith(_BEARER) else b""
        if not any([hmac.compare_digest(given, token) for token in self._tokens]):
            remedy = "send a token of the setting feature_tokens as `Authorization: Bearer TOKEN`"
            raise Refusal(401, None, f"the request bears no token of this service; {remedy}")

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def _readyz(self, request: Request) -> Response:
        there = await self._reader.is_there()
        told = {"redis": there, "plan": self._plan().describe()}
        return JSONResponse(told, status_code=200 if there else 503)

    async def _exposition(self, request: Request) -> Response:
        return Response(self._metrics.rendered(self._plan()), media_type=CONTENT_TYPE_LATEST)

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(feature_openapi(version("headrace")))
