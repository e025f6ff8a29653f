"""The HTTP endpoints of operators: what `headrace models` does, with a token of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headrace.learners.models.history import Deed
from headrace.learners.operating.card import card_of, to_html, to_markdown
from headrace.learners.operating.desk import ModelDesk, differences
from headrace.learners.serving.bearer import check_bearer
from headrace.learners.serving.guard import Handler, guarded
from headrace.learners.serving.json_body import parse, validate
from headrace.learners.serving.operator_api import OperationRequest, OperationResponse
from headrace.learners.serving.refusals import Refusal
from headrace.schemas.errors import ModelError, UnknownNameError
from headrace.schemas.plan import Plan


class OperatorEndpoints:
    """Answers operators.

    Parameters
    ----------
    desk
        Reads the log, and writes operations.
    plan
        The plan in force.
    tokens
        One of which a request must bear; without any nobody operates over HTTP.
    """

    def __init__(self, desk: ModelDesk, plan: Plan, tokens: Sequence[str]) -> None:
        self._desk, self._plan = desk, plan
        self._tokens = [token.encode() for token in tokens]

    def routes(self) -> list[Route]:
        """Return the routes of a Starlette application."""
        endpoints: list[tuple[str, str, Handler]] = [
            ("GET", "/v1/models", self._list),
            ("GET", "/v1/models/{name}", self._show),
            ("GET", "/v1/models/{name}/diff", self._diff),
            ("GET", "/v1/models/{name}/card", self._card),
            ("POST", "/v1/models/{name}/operations", self._operate),
        ]
        return [
            Route(path, guarded(path, self._for_operators(run)), methods=[method])
            for method, path, run in endpoints
        ]

    def _for_operators(self, run: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            if not self._tokens:
                problem = "nobody operates over HTTP here"
                raise Refusal(403, None, f"{problem}; set operate_tokens, or use `headrace models`")
            check_bearer(request.headers.get("authorization", ""), self._tokens, "operate_tokens")
            try:
                return await run(request)
            except UnknownNameError as error:
                raise Refusal(404, None, str(error)) from error
            except ModelError as error:
                raise Refusal(409, None, str(error)) from error

        return handle

    async def _list(self, request: Request) -> Response:
        arms = [arm for router in self._plan.routers for arm in router.arms]

        def kept() -> dict[str, Any]:
            return {arm: [one.to_json() for one in self._desk.kept(arm)] for arm in arms}

        return await _json(lambda: {"learners": kept()})

    async def _show(self, request: Request) -> Response:
        name, version = request.path_params["name"], request.query_params.get("version")

        def shown() -> dict[str, Any]:
            found = self._desk.find(name, version).to_json()
            return found | {"operations": [_deed(one) for one in self._desk.deeds(name)]}

        return await _json(shown)

    async def _diff(self, request: Request) -> Response:
        name, query = request.path_params["name"], request.query_params

        def differing() -> dict[str, Any]:
            one, other = (self._desk.find(name, query.get(each)).published for each in ("one", "other"))
            return {"differences": [[*each] for each in differences(one, other)]}

        return await _json(differing)

    async def _card(self, request: Request) -> Response:
        name, query = request.path_params["name"], request.query_params

        def card() -> dict[str, Any]:
            made = card_of(self._plan, self._desk.find(name, query.get("version")), self._desk.deeds(name))
            is_html = query.get("format") == "html"
            text = to_html(made) if is_html else to_markdown(made)
            return {"format": "html" if is_html else "markdown", "card": text}

        return await _json(card)

    async def _operate(self, request: Request) -> Response:
        name = request.path_params["name"]
        asked = validate(parse(await request.body()), OperationRequest)

        def operate() -> Deed:
            deed = self._desk.order(asked.kind, name, asked.version, asked.who, asked.why, asked.skip)
            return self._desk.await_outcome(deed, asked.wait_s)

        answer = _answer(await asyncio.to_thread(operate))
        return Response(answer.model_dump_json(), media_type="application/json")


async def _json(work: Callable[[], dict[str, Any]]) -> Response:
    return JSONResponse(await asyncio.to_thread(work))


def _answer(deed: Deed) -> OperationResponse:
    outcome = deed.outcome
    if outcome is None:
        return OperationResponse(id=deed.operation.id, state="logged", serves=None, message=None)
    state: Literal["done", "refused"] = "refused" if outcome.refused else "done"
    return OperationResponse(
        id=deed.operation.id, state=state, serves=outcome.version, message=outcome.refused
    )


def _deed(deed: Deed) -> dict[str, Any]:
    return vars(deed.operation) | {"offset": deed.offset, "outcome": deed.outcome and vars(deed.outcome)}
