"""The serve process: the routers of a project behind one HTTP server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import redis
import uvicorn
from starlette.applications import Starlette

from headrace.featurestore.online.async_client import AsyncFeatureClient
from headrace.learners.models.store import ModelStore
from headrace.learners.operating.desk import ModelDesk
from headrace.learners.project import Project
from headrace.learners.serving.config import ServeConfig
from headrace.learners.serving.drain import Drain
from headrace.learners.serving.endpoints import Endpoints, Readiness
from headrace.learners.serving.http_server import admitted, http_server, run_server
from headrace.learners.serving.live_models import LiveModels
from headrace.learners.serving.metrics import ServiceMetrics
from headrace.learners.serving.operator_endpoints import OperatorEndpoints
from headrace.learners.serving.prediction_log import PredictionLog
from headrace.learners.serving.router import RouterService
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.redis import redis_client
from headrace.streams.runtime.health import PlanHealth
from headrace.streams.runtime.internal_topics import process_topics
from headrace.streams.runtime.plan_watch import PlanWatch, plan_health
from headrace.streams.runtime.topic_checks import warn_of_topic_settings

_FIRST_LOOK_S = 5.0  # longest wait for what is in force, before anything is answered


class ServeProcess:
    """Answers prediction requests over HTTP until it is told to stop.

    Parameters
    ----------
    plan
        The plan in force.
    kafka
        How to reach Kafka, where predictions and outcomes are logged.
    redis_url
        The online store.
    store
        Where artifacts are.
    project
        The loaded ``learners.py``; must define the plan's learners.
    config
        How to run.
    plan_watch
        Looks whether the plan stays in force; None where nobody looks.

    Attributes
    ----------
    app
        The ASGI application, for a server or a test client. Connects when its lifespan begins, and
        disconnects when that ends.

    Raises
    ------
    DefinitionError
        When a learner reads an on-demand view whose function is not in the repository as the plan has it.
    """

    def __init__(
        self,
        plan: Plan,
        kafka: Kafka,
        redis_url: str,
        store: ModelStore,
        project: Project,
        config: ServeConfig | None = None,
        plan_watch: PlanWatch | None = None,
    ) -> None:
        self._plan_watch = plan_watch
        self._config = config or ServeConfig()
        self._plan, self._kafka = plan, kafka
        self._drain = Drain(self._config.drain_s)
        self._metrics = ServiceMetrics()
        self._redis = redis_client(redis_url)
        self._features = AsyncFeatureClient(plan, redis_url, repo_dir=project.file.parent)
        self._log = PredictionLog(kafka, self._config.log_timeout_s)
        self._routers = {
            router.name: self._router(plan, router.name, project, store) for router in plan.routers
        }
        routes = Endpoints(
            self._routers, self._readiness, self._plan_health, self._log, self._metrics
        ).routes()
        desk = ModelDesk(kafka, plan, store.key)
        routes += OperatorEndpoints(desk, plan, self._config.operate_tokens).routes()
        self.app = admitted(routes, self._lifespan, self._config.limits, self._metrics.requests, self._drain)

    def run(self) -> None:
        """Block until SIGTERM or SIGINT, then drain; requests in hand are answered first."""
        warn_of_topic_settings(self._kafka, process_topics(self._plan, "serve"))
        run_server(self.server(), self._plan_watch)

    def server(self) -> uvicorn.Server:
        """Return the server that `run` runs."""
        return http_server(self.app, self._config, self._metrics.requests, self._drain)

    def _router(self, plan: Plan, name: str, project: Project, store: ModelStore) -> RouterService:
        failed = self._metrics.load_errors
        models = LiveModels(
            plan,
            plan.router(name),
            project,
            store,
            self._redis,
            self._config.replica,
            on_failure=lambda arm: failed.labels(arm).inc(),
            on_epoch_fault=self._metrics.epoch_errors.labels(name).inc,
            prepare=self._features.prepare,
        )
        router = RouterService(plan, name, self._features, models, self._log, self._metrics)
        self._features.prepare(router.features)
        return router

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._log.start()
        for router in self._routers.values():
            router.models.start()
        first_looks = (router.models.followed.wait for router in self._routers.values())
        await asyncio.gather(*(asyncio.to_thread(wait, _FIRST_LOOK_S) for wait in first_looks))
        try:
            yield
        finally:
            for router in self._routers.values():
                await asyncio.to_thread(router.models.close)
            await asyncio.to_thread(self._log.close)
            await self._features.close()
            self._redis.close()
            if self._plan_watch is not None:
                await asyncio.to_thread(self._plan_watch.stop)

    def _plan_health(self) -> PlanHealth:
        return plan_health(self._plan, self._plan_watch)

    async def _readiness(self) -> Readiness:
        """Tell whether the models in force are loaded, and Redis and Kafka answer."""
        models = [router.models for router in self._routers.values()]
        parts = {
            "models": all(each.is_loaded for each in models),
            "redis": await asyncio.to_thread(self._redis_answers),
            "kafka": await asyncio.to_thread(self._log.reachable),
        }
        return Readiness(parts, [fault for each in models for fault in each.faults])

    def _redis_answers(self) -> bool:
        try:
            return bool(self._redis.ping())
        except redis.RedisError:
            return False
