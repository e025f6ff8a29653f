"""The HTTP endpoints of the routers of a project: validate requests, ask the routers, write responses."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypeVar

from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headrace.learners.serving import api
from headrace.learners.serving.metrics import ServiceMetrics
from headrace.learners.serving.openapi import openapi
from headrace.learners.serving.router import RouterService
from headrace.schemas.errors import HeadraceError, RequestError, UnknownNameError

_log = logging.getLogger(__name__)
_Model = TypeVar("_Model", bound=BaseModel)
_Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Readiness:
    """What a service needs, and what is wrong with it.

    Attributes
    ----------
    parts
        Each part that has to be there, by name, and whether it is.
    faults
        What is wrong although the service answers as well as it did before.
    """

    parts: Mapping[str, bool]
    faults: Sequence[str] = ()


class Endpoints:
    """Answers HTTP requests.

    Parameters
    ----------
    routers
        By name.
    readiness
        Asked by ``/readyz``.
    metrics
        Counts requests, and is what ``/metrics`` shows.
    """

    def __init__(
        self,
        routers: Mapping[str, RouterService],
        readiness: Callable[[], Awaitable[Readiness]],
        metrics: ServiceMetrics,
    ) -> None:
        self._routers, self._readiness, self._metrics = routers, readiness, metrics

    def routes(self) -> list[Route]:
        """Return the routes of a Starlette application."""
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
        return [Route(path, self._guarded(path, run), methods=[method]) for method, path, run in endpoints]

    def _guarded(self, path: str, run: _Handler) -> _Handler:
        """Turn errors into answers that name the field and the way out, and count every request."""

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
        question = await _parse(request, api.PredictRequest)
        answers = await self._router(question.router).predict([question])
        return _answer(answers[0])

    async def _predict_batch(self, request: Request) -> Response:
        questions = (await _parse(request, api.PredictBatch)).requests
        answers = await self._each(questions, lambda router, batch: router.predict(batch))
        return _answer(api.PredictBatchResponse(predictions=answers))

    async def _outcomes(self, request: Request) -> Response:
        body = await _body(request)
        if not (isinstance(body, dict) and "outcomes" in body):
            outcome = _validate(body, api.OutcomeRequest)
            return _answer((await self._router(outcome.router).record([outcome]))[0])
        outcomes = _validate(body, api.OutcomeBatch).outcomes
        answers = await self._each(outcomes, lambda router, batch: router.record(batch))
        return _answer(api.OutcomeBatchResponse(outcomes=answers))

    async def _each(self, items: Sequence[Any], run: Callable[[RouterService, list[Any]], Any]) -> list[Any]:
        """Run the items of each router together; answers in the order of the items."""
        rows_of: dict[str, list[int]] = {}
        for row, item in enumerate(items):
            rows_of.setdefault(self._router(item.router).spec.name, []).append(row)
        answers: list[Any] = [None] * len(items)
        for name, rows in rows_of.items():
            answered = await run(self._routers[name], [items[row] for row in rows])
            for row, answer in zip(rows, answered, strict=True):
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
        routers = self._routers.values() if name is None else [self._router(name)]
        return _answer(api.ArmsResponse(routers=[router.arms() for router in routers]))

    async def _healthz(self, request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def _readyz(self, request: Request) -> Response:
        found = await self._readiness()
        told = dict(found.parts) | ({"faults": list(found.faults)} if found.faults else {})
        return JSONResponse(told, status_code=200 if all(found.parts.values()) else 503)

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
