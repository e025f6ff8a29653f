"""Pushes rows to the online store: checked as a whole, then written unless a later row is there.

One script per row compares and writes, so that of two clients the later row stays, whoever is first. Feast
reads the times of all rows and writes afterwards; what is written between the two it does not see.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from redis.exceptions import NoScriptError

from headrace.featurestore.online.async_exchange import AsyncExchange
from headrace.featurestore.online.exchange import Exchange
from headrace.featurestore.online.push_check import Places, PushChecks, PushedChunk
from headrace.featurestore.online.push_plan import PushPlan
from headrace.schemas.errors import ServiceUnavailable
from headrace.schemas.plan import Plan
from headrace.schemas.push_specs import PushSourceSpec


class Pusher:
    """Pushes rows of one plan. Threads may share one.

    Parameters
    ----------
    plan
        The plan of the project.
    redis_url
        The online store.
    exchange
        Connections to it.
    """

    def __init__(self, plan: Plan, redis_url: str, exchange: Exchange) -> None:
        self._exchange = exchange
        self._checks, self._plan = PushChecks(plan), PushPlan(plan, redis_url)

    def push(self, source: PushSourceSpec, rows: Any) -> dict[str, int]:
        """Check and write rows; see `headrace.FeatureClient.push`."""
        written = Counter(dict.fromkeys(source.views, 0))
        chunks = self._checks.check(source, rows)
        try:
            if chunks:
                (in_force,) = self._exchange.run(*self._plan.question)
                self._plan.check(source, in_force)
            for chunk in chunks:
                written[chunk.view] += sum(self._send(chunk))
        except ServiceUnavailable as error:
            raise _not_pushed(error) from error
        return dict(written)

    def _send(self, chunk: PushedChunk) -> list[int]:
        try:
            return self._run(chunk, known=True)
        except ServiceUnavailable as error:
            if not isinstance(error.__cause__, NoScriptError):
                raise
            return self._run(chunk, known=False)

    def _run(self, chunk: PushedChunk, known: bool) -> list[int]:
        rows = chunk.known if known else chunk.whole
        if self._exchange.nodes.clustered:
            return self._exchange.run(*rows.commands_by_row())
        return self._exchange.send(rows.commands(), len(rows))


class AsyncPusher:
    """`Pusher` for asyncio, in one event loop."""

    def __init__(self, plan: Plan, redis_url: str, exchange: AsyncExchange) -> None:
        self._exchange = exchange
        self._checks, self._plan = PushChecks(plan), PushPlan(plan, redis_url)

    async def push(self, source: PushSourceSpec, rows: Any, places: Places | None = None) -> dict[str, int]:
        """Check rows in a thread, and write them; see `headrace.FeatureClient.push`."""
        written = Counter(dict.fromkeys(source.views, 0))
        chunks = await asyncio.to_thread(self._checks.check, source, rows, places or Places())
        try:
            if chunks:
                (in_force,) = await self._exchange.run(*self._plan.question)
                if not self._plan.is_known(source, in_force):
                    await asyncio.to_thread(self._plan.check, source, in_force)
            for chunk in chunks:
                written[chunk.view] += sum(await self._send(chunk))
        except ServiceUnavailable as error:
            raise _not_pushed(error) from error
        return dict(written)

    async def _send(self, chunk: PushedChunk) -> list[int]:
        try:
            return await self._run(chunk, known=True)
        except ServiceUnavailable as error:
            if not isinstance(error.__cause__, NoScriptError):
                raise
            return await self._run(chunk, known=False)

    async def _run(self, chunk: PushedChunk, known: bool) -> list[int]:
        rows = chunk.known if known else chunk.whole
        if self._exchange.nodes.clustered:
            return await self._exchange.run(*rows.commands_by_row())
        return await self._exchange.send(rows.commands(), len(rows))


def _not_pushed(error: ServiceUnavailable) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"rows cannot be pushed, or not all of them: {error.__cause__ or error}; see whether Redis runs at "
        "that URL, and push them again: those that are there already do no harm"
    )
