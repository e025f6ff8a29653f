"""Reads features for requests, and writes the answers."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from weakref import WeakKeyDictionary

from headrace.featurestore.online.async_exchange import AsyncExchange
from headrace.featurestore.online.retrieval import Request, Retrieval, Retrievals
from headrace.learners.feature_server.answers import AnswerWriter
from headrace.learners.feature_server.api import MAX_VALUES, FeatureRequest
from headrace.learners.serving.refusals import Refusal
from headrace.schemas.errors import DefinitionError, HeadraceError, RequestError, UnknownNameError
from headrace.schemas.plan import Plan


class FeatureReader:
    """Answers feature requests out of the online store; for one event loop.

    Parameters
    ----------
    plan
        The plan in force.
    redis_url
        The online store.
    repo_dir
        The Feast repository, which has the functions of on-demand views.
    """

    def __init__(self, plan: Plan, redis_url: str, repo_dir: Path) -> None:
        self._plan = plan
        self._exchange = AsyncExchange(redis_url)
        self._retrievals = Retrievals(plan, repo_dir)
        self._writers: WeakKeyDictionary[Retrieval, AnswerWriter] = WeakKeyDictionary()

    async def answer(self, asked: FeatureRequest) -> bytes:
        """Return the body of the answer, as Feast's feature server writes it.

        Raises
        ------
        Refusal
            With status 404 for a service, view or feature that is not there, 413 for too many values.
        RequestError
            When entities are missing or wrong, or an on-demand view cannot be computed from them.
        ServiceUnavailable
            When Redis does not answer.
        """
        retrieval = await self._retrieval(asked)
        request = _request(retrieval, asked)
        replies = await self._exchange.run(request.keys, request.commands)
        writer, now_ms = self._writer(retrieval), time.time_ns() // 1_000_000
        if retrieval.places is not None:
            return writer.write_stored(request.inputs, request.stored(replies, now_ms))
        try:
            response = request.respond(replies, now_ms)
        except DefinitionError as error:
            raise RequestError("entities", str(error), "Send what the function of the view takes") from error
        return writer.write(response, request.event_times(replies))

    async def close(self) -> None:
        """Close all connections."""
        await self._exchange.close()

    async def is_there(self) -> bool:
        """Whether Redis answers."""
        try:
            await self._exchange.run([b""], [b"*1\r\n$4\r\nPING\r\n"])
        except HeadraceError:
            return False
        return True

    async def _retrieval(self, asked: FeatureRequest) -> Retrieval:
        features, full_names = asked.asked_for, asked.full_feature_names
        field = "features" if isinstance(features, list) else "feature_service"
        if isinstance(features, list) and (wrong := [name for name in features if ":" not in name]):
            raise RequestError(field, f"{wrong[0][:100]!r} is no feature", "Write it as view:feature")
        try:
            found = self._retrievals.cached(features, full_names)
            if found is None:
                found = await asyncio.to_thread(self._retrievals.get, features, full_names)
        except UnknownNameError as error:
            raise Refusal(404, field, str(error)) from error
        except HeadraceError as error:
            raise RequestError(field, str(error), "Ask for other features") from error
        if asked.rows * len(found.features) > MAX_VALUES:
            problem = f"{asked.rows} rows of {len(found.features)} features are more than {MAX_VALUES} values"
            raise Refusal(413, "entities", f"{problem}; ask in several requests")
        return found

    def _writer(self, retrieval: Retrieval) -> AnswerWriter:
        writer = self._writers.get(retrieval)
        if writer is None:
            writer = self._writers[retrieval] = self._new_writer(retrieval)
        return writer

    def _new_writer(self, retrieval: Retrieval) -> AnswerWriter:
        refs = retrieval.features
        keys = {key.name: key.dtype for key in self._plan.request_keys(refs.values())}
        features = {name: self._plan.dtype_of(ref) for name, ref in refs.items()}
        views = {name: ref.view_name for name, ref in refs.items()}
        return AnswerWriter(keys, features, views, retrieval.places)


def _request(retrieval: Retrieval, asked: FeatureRequest) -> Request:
    try:
        return retrieval.request(asked.entities)
    except HeadraceError as error:
        raise RequestError("entities", str(error), "Send one value for each row") from error
