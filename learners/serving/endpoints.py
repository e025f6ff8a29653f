"""The HTTP endpoints of the routers of a project: validate requests, ask the routers, write responses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headrace.learners.serving import api
from headrace.learners.serving.guard import Handler, guarded
from headrace.learners.serving.json_body import parse, validate
from headrace.learners.serving.metrics import ServiceMetrics
from headrace.learners.serving.openapi import openapi
from headrace.learners.serving.prediction_log import PredictionLog
from headrace.learners.serving.refusals import Refusal
from headrace.learners.serving.router import Prepared, RouterService
from headrace.schemas.errors import RequestError, UnknownNameError
from headrace.streams.runtime.health import PlanHealth


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
    log
        Where batches are appended.
    plan
        Returns the health of the plan that the routers are of.
    metrics
        What ``/metrics`` shows.
    """

    def __init__(
        self,
        routers: Mapping[str, RouterService],
        readiness: Callable[[], Awaitable[Readiness]],
        plan: Callable[[], PlanHealth],
        log: PredictionLog,
        metrics: ServiceMetrics,
    ) -> None:
        self._routers, self._readiness, self._plan = routers, readiness, plan
        self._log, self._metrics = log, metrics

    def routes(self) -> list[Route]:
        """Return the routes of a Starlette application."""
        endpoints: list[tuple[str, str, Handler]] = [
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
        return [Route(path, guarded(path, run), methods=[method]) for method, path, run in endpoints]

    async def _predict(self, request: Request) -> Response:
        question = validate(parse(await request.body()), api.PredictRequest)
        answers = await self._router(question.router).predict([question])
        return _answer(answers[0])

    async def _predict_batch(self, request: Request) -> Response:
        questions = validate(parse(await request.body()), api.PredictBatch).requests
        prepared = [
            (router, rows, await router.prepare_predictions([questions[row] for row in rows], rows))
            for router, rows in self._rows_by_router(questions)
        ]
        answers = await self._logged(prepared, lambda router, *made: router.predicted(*made))
        return _answer(api.PredictBatchResponse(predictions=answers))

    async def _outcomes(self, request: Request) -> Response:
        body = parse(await request.body())
        if not (isinstance(body, dict) and "outcomes" in body):
            outcome = validate(body, api.OutcomeRequest)
            return _answer((await self._router(outcome.router).record([outcome]))[0])
        outcomes = validate(body, api.OutcomeBatch).outcomes
        prepared = [
            (router, rows, router.prepare_outcomes([outcomes[row] for row in rows], rows))
            for router, rows in self._rows_by_router(outcomes)
        ]
        answers = await self._logged(prepared, lambda router, *made: router.recorded(*made))
        return _answer(api.OutcomeBatchResponse(outcomes=answers))

    def _rows_by_router(self, items: Sequence[Any]) -> list[tuple[RouterService, list[int]]]:
        rows: dict[str, list[int]] = {}
        for row, item in enumerate(items):
            rows.setdefault(self._router(item.router).spec.name, []).append(row)
        return [(self._routers[name], of_router) for name, of_router in rows.items()]

    async def _logged(
        self,
        prepared: Sequence[tuple[RouterService, list[int], Prepared[Any]]],
        respond: Callable[[RouterService, Prepared[Any], list[int | None]], list[Any]],
    ) -> list[Any]:
        """Append the records of all routers together; answers in the order of the rows."""
        entries = [entry for *_, made in prepared for entry in made.entries]
        with self._metrics.seconds.labels("log").time():
            offsets = await self._log.append(entries)
        answers: list[Any] = [None] * len(entries)
        start = 0
        for router, rows, made in prepared:
            answered = respond(router, made, offsets[start : start + len(rows)])
            start += len(rows)
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
            unknown = UnknownNameError("router", name, list(self._routers))
            raise Refusal(422, "router", str(unknown))
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
        told: dict[str, Any] = dict(found.parts)
        if found.faults:
            told["faults"] = list(found.faults)
        told["plan"] = self._plan().describe()
        return JSONResponse(told, status_code=200 if all(found.parts.values()) else 503)

    async def _exposition(self, request: Request) -> Response:
        live = {name: router.models.live for name, router in self._routers.items()}
        return Response(self._metrics.exposition(live, self._plan()), media_type=CONTENT_TYPE_LATEST)

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(openapi("Headrace router", version("headrace")))


def _answer(model: BaseModel) -> Response:
    return Response(model.model_dump_json(), media_type="application/json")
