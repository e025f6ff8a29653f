"""The HTTP endpoints of the feature server: those of Feast's that read and push, and every service's."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headrace.learners.feature_server.api import FeatureRequest
from headrace.learners.feature_server.metrics import FeatureMetrics
from headrace.learners.feature_server.openapi import feature_openapi
from headrace.learners.feature_server.push_api import PushRequest, WriteRequest
from headrace.learners.feature_server.pusher import FeaturePusher
from headrace.learners.feature_server.reader import FeatureReader
from headrace.learners.feature_server.tokens import FeatureTokens
from headrace.learners.serving.guard import Handler, guarded
from headrace.learners.serving.json_body import parse, validate
from headrace.streams.runtime.health import PlanHealth


class FeatureEndpoints:
    """Answers HTTP requests.

    Parameters
    ----------
    reader
        Reads features.
    pusher
        Writes rows that are pushed.
    tokens
        What requests must bear.
    plan
        Returns the health of the plan that features are read by.
    metrics
        What ``/metrics`` shows.
    """

    def __init__(
        self,
        reader: FeatureReader,
        pusher: FeaturePusher,
        tokens: FeatureTokens,
        plan: Callable[[], PlanHealth],
        metrics: FeatureMetrics,
    ) -> None:
        self._reader, self._pusher, self._tokens = reader, pusher, tokens
        self._plan, self._metrics = plan, metrics

    def routes(self) -> list[Route]:
        """Return the routes of a Starlette application."""
        endpoints: list[tuple[str, str, Handler]] = [
            ("POST", "/get-online-features", self._get_online_features),
            ("POST", "/push", self._push),
            ("POST", "/write-to-online-store", self._write),
            ("GET", "/health", self._health),
            ("GET", "/healthz", self._health),
            ("GET", "/readyz", self._readyz),
            ("GET", "/metrics", self._exposition),
            ("GET", "/openapi.json", self._openapi),
        ]
        return [Route(path, guarded(path, run), methods=[method]) for method, path, run in endpoints]

    async def _get_online_features(self, request: Request) -> Response:
        self._tokens.check_read(request.headers.get("authorization", ""))
        with self._metrics.seconds.time():
            asked = validate(parse(await request.body()), FeatureRequest)
            body = await self._reader.answer(asked)
        self._metrics.rows.inc(asked.rows)
        return Response(body, media_type="application/json")

    async def _push(self, request: Request) -> Response:
        self._tokens.check_push(request.headers.get("authorization", ""))
        return self._pushed(await self._pusher.push(validate(parse(await request.body()), PushRequest)))

    async def _write(self, request: Request) -> Response:
        self._tokens.check_push(request.headers.get("authorization", ""))
        return self._pushed(await self._pusher.write(validate(parse(await request.body()), WriteRequest)))

    def _pushed(self, written: dict[str, int]) -> Response:
        self._metrics.pushed_rows.inc(sum(written.values()))
        return JSONResponse({"written": written})

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
