"""The feature server: online features read and pushed over HTTP, in the format of Feast's own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from headrace.learners.feature_server.config import FeatureServerConfig
from headrace.learners.feature_server.endpoints import FeatureEndpoints
from headrace.learners.feature_server.metrics import FeatureMetrics
from headrace.learners.feature_server.pusher import FeaturePusher
from headrace.learners.feature_server.reader import FeatureReader
from headrace.learners.feature_server.tokens import FeatureTokens
from headrace.learners.serving.drain import Drain
from headrace.learners.serving.http_server import admitted, http_server, run_server
from headrace.schemas.plan import Plan
from headrace.streams.runtime.health import PlanHealth
from headrace.streams.runtime.plan_watch import PlanWatch, plan_health


class FeatureServer:
    """Answers feature requests over HTTP until it is told to stop. It needs Redis alone.

    Parameters
    ----------
    plan
        The plan in force.
    redis_url
        The online store.
    repo_dir
        The Feast repository, which has the functions of on-demand views.
    config
        How to run.
    plan_watch
        Looks whether the plan stays in force; None where nobody looks.

    Attributes
    ----------
    app
        The ASGI application, for a server or a test client.
    """

    def __init__(
        self,
        plan: Plan,
        redis_url: str,
        repo_dir: Path,
        config: FeatureServerConfig | None = None,
        plan_watch: PlanWatch | None = None,
    ) -> None:
        self._plan, self._plan_watch = plan, plan_watch
        self._config = config or FeatureServerConfig()
        self._drain = Drain(self._config.drain_s)
        self._metrics = FeatureMetrics()
        self._reader = FeatureReader(plan, redis_url, repo_dir)
        self._pusher = FeaturePusher(plan, redis_url)
        tokens = FeatureTokens(self._config.tokens, self._config.push_tokens)
        endpoints = FeatureEndpoints(self._reader, self._pusher, tokens, self._plan_health, self._metrics)
        routes = endpoints.routes()
        self.app = admitted(routes, self._lifespan, self._config.limits, self._metrics.requests, self._drain)

    def run(self) -> None:
        """Block until SIGTERM or SIGINT, then drain; requests in hand are answered first."""
        run_server(self.server(), self._plan_watch)

    def server(self) -> uvicorn.Server:
        """Return the server that `run` runs."""
        return http_server(self.app, self._config, self._metrics.requests, self._drain)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self._reader.close()
            await self._pusher.close()
            if self._plan_watch is not None:
                await asyncio.to_thread(self._plan_watch.stop)

    def _plan_health(self) -> PlanHealth:
        return plan_health(self._plan, self._plan_watch)
