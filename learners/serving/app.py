"""The HTTP service of a project's routers, as a Starlette app."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from importlib.metadata import version
from typing import Any, TypeVar

import redis
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headrace.featurestore.online.client import AsyncFeatureClient
from headrace.learners.models.store import ModelStore
from headrace.learners.project import Project
from headrace.learners.serving import api
from headrace.learners.serving.live_models import LiveModels
from headrace.learners.serving.metrics import ServiceMetrics
from headrace.learners.serving.openapi import openapi
from headrace.learners.serving.prediction_log import RecordLog
from headrace.learners.serving.router import RouterService
from headrace.schemas.errors import HeadraceError, RequestError, UnknownNameError
from headrace.schemas.plan import Plan
from headrace.streams.connections.kafka import Kafka
from headrace.streams.connections.redis import redis_client

_log = logging.getLogger(__name__)
_Model = TypeVar("_Model", bound=BaseModel)
_Handler = Callable[[Request], Awaitable[Response]]


def create_app(
    plan: Plan,
    project: Project,
    kafka: Kafka,
    redis_url: str,
    store: ModelStore,
    replica: str,
    log_timeout_s: float = 5.0,
) -> Starlette:
    """The service; it connects when it starts and lets go when it is shut down.

    Parameters
    ----------
    kafka
        Bootstrap servers, or a configuration of librdkafka with them.
    replica
        Name of this process, unique among the replicas.
    log_timeout_s
        How long an answer waits for the prediction log.

    Raises
    ------
    DefinitionError
        When a learner reads an on-demand view whose function is not in the repository as the plan has it.
    """
    return _Service(plan, project, kafka, redis_url, store, replica, log_timeout_s).app()


class _Service:
    def __init__(
        self,
        plan: Plan,
        project: Project,
        kafka: Kafka,
        redis_url: str,
        store: ModelStore,
        replica: str,
        log_timeout_s: float,
    ) -> None:
        self._metrics = ServiceMetrics()
        self._redis = redis_client(redis_url)
        self._features = AsyncFeatureClient(plan, redis_url, repo_dir=project.file.parent)
        self._record_log = RecordLog(kafka, log_timeout_s)
        failed = self._metrics.load_errors
        self._routers: dict[str, RouterService] = {}
        for router in plan.routers:
            models = LiveModels(
                plan, router, project, store, self._redis, replica, lambda arm: failed.labels(arm).inc()
            )
            self._routers[router.name] = RouterService(
                plan, router.name, self._features, models, self._record_log, self._metrics
            )
            self._features.prepare(self._routers[router.name].feature_names)

    def app(self) -> Starlette:
        endpoints: list[tuple[str, str, _Handler]] = [
            ("POST", "/v1/predict", self._predict),
            ("POST", "/v1/predict:batch", self._predict_batch),
            ("POST", "/v1/outcomes", self._outcomes),
            ("GET", "/v1/routers", self._list_routers),
            ("GET", "/v1/arms", self._list_arms),
            ("GET", "/healthz", self._healthz),
            ("GET", "/readyz", self._readyz),
            ("GET", "/metrics", self._exposition),
            ("GET", "/openapi.json", self._openapi),
        ]
        routes = [Route(path, self._guarded(path, run), methods=[method]) for method, path, run in endpoints]
        return Starlette(routes=routes, lifespan=self._lifespan)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._record_log.start()
        for router in self._routers.values():
            router.models.start()
        try:
            yield
        finally:
            for router in self._routers.values():
                await asyncio.to_thread(router.models.close)
            await asyncio.to_thread(self._record_log.close)
            await self._features.close()
            self._redis.close()

    def _guarded(self, path: str, run: _Handler) -> _Handler:
        """Errors become answers that name the field and the way out; every request is counted."""

        async def handle(request: Request) -> Response:
            try:
                response = await run(request)
            except RequestError as error:
                response = _refusal(422, error.field, str(error))
            except UnknownNameError as error:
                response = _refusal(422, "router", str(error))
            except json.JSONDecodeError as error:
                response = _refusal(400, None, f"the body is not JSON ({error}); send one JSON object")
            except HeadraceError as error:
                _log.exception("%s failed", path)
                response = _refusal(503, None, str(error))
            self._metrics.requests.labels(path, str(response.status_code)).inc()
            return response

        return handle

    async def _predict(self, request: Request) -> Response:
        asked = await _parse(request, api.PredictRequest)
        answers = await self._router(asked.router).predict([asked])
        return _answer(answers[0])

    async def _predict_batch(self, request: Request) -> Response:
        asked = (await _parse(request, api.PredictBatch)).requests
        answers = await self._each(asked, lambda router, part: router.predict(part))
        return _answer(api.PredictBatchResponse(predictions=answers))

    async def _outcomes(self, request: Request) -> Response:
        body = await _body(request)
        if not (isinstance(body, dict) and "outcomes" in body):
            outcome = _validate(body, api.OutcomeRequest)
            return _answer((await self._router(outcome.router).record([outcome]))[0])
        told = _validate(body, api.OutcomeBatch).outcomes
        answers = await self._each(told, lambda router, part: router.record(part))
        return _answer(api.OutcomeBatchResponse(outcomes=answers))

    async def _each(self, items: Sequence[Any], run: Callable[[RouterService, list[Any]], Any]) -> list[Any]:
        """Run the items of each router together; answers in the order of the items."""
        rows: dict[str, list[int]] = {}
        for row, item in enumerate(items):
            rows.setdefault(self._router(item.router).spec.name, []).append(row)
        answers: list[Any] = [None] * len(items)
        for name, numbers in rows.items():
            found = await run(self._routers[name], [items[row] for row in numbers])
            for row, answer in zip(numbers, found, strict=True):
                answers[row] = answer
        return answers

    def _router(self, name: str | None) -> RouterService:
        if name is None and len(self._routers) == 1:
            return next(iter(self._routers.values()))
        if name is None:
            problem = f"the project has {len(self._routers)} routers"
            raise RequestError("router", problem, f"Name one of: {', '.join(self._routers)}")
        if name not in self._routers:
            raise UnknownNameError("router", name, list(self._routers))
        return self._routers[name]

    async def _list_routers(self, request: Request) -> Response:
        return _answer(api.RoutersResponse(routers=[router.info() for router in self._routers.values()]))

    async def _list_arms(self, request: Request) -> Response:
        name = request.query_params.get("router")
        asked = self._routers.values() if name is None else [self._router(name)]
        return _answer(api.ArmsResponse(routers=[router.arms() for router in asked]))

    async def _healthz(self, request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def _readyz(self, request: Request) -> Response:
        """Ready once the models in force are known and Redis and Kafka answer."""
        parts = {
            "models": all(router.models.followed.is_set() for router in self._routers.values()),
            "redis": await asyncio.to_thread(self._redis_answers),
            "kafka": await asyncio.to_thread(self._record_log.reachable),
        }
        return JSONResponse(parts, status_code=200 if all(parts.values()) else 503)

    def _redis_answers(self) -> bool:
        try:
            return bool(self._redis.ping())
        except redis.RedisError:
            return False

    async def _exposition(self, request: Request) -> Response:
        live = {name: router.models.live for name, router in self._routers.items()}
        return Response(self._metrics.exposition(live), media_type=CONTENT_TYPE_LATEST)

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(openapi("Headrace router", version("headrace")))


async def _parse(request: Request, model: type[_Model]) -> _Model:
    return _validate(await _body(request), model)


async def _body(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except UnicodeDecodeError as error:
        raise json.JSONDecodeError(str(error), "", 0) from error


def _validate(body: Any, model: type[_Model]) -> _Model:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise RequestError(field, first["msg"], "See /openapi.json for what is expected") from error


def _answer(model: BaseModel) -> Response:
    return Response(model.model_dump_json(), media_type="application/json")


def _refusal(status: int, field: str | None, message: str) -> Response:
    return JSONResponse({"field": field, "message": message}, status_code=status)
