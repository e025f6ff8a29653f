"""The SDK in coroutines; see `headrace.featurestore.online.client`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.featurestore.online.async_exchange import AsyncExchange
from headrace.featurestore.online.connect import load_plan, now_or, wait_for
from headrace.featurestore.online.response import FeatureResponse
from headrace.featurestore.online.retrieval import EntityRows, Features, Retrievals
from headrace.streams.progress import Until

if TYPE_CHECKING:
    from headrace.featurestore.online.push import AsyncPusher
    from headrace.schemas.plan import Plan


class AsyncFeatureClient:
    """Reads online features and pushes rows in coroutines; for one event loop.

    The methods are those of `FeatureClient`, to be awaited, and `prepare`.

    Parameters
    ----------
    plan
        The plan of the project.
    redis_url
        The online store; see `FeatureClient`.
    timeout_s
        How long a request may take, in seconds, with its retries, where the URL has no ``socket_timeout``.
    repo_dir
        The Feast repository, which has the functions of on-demand feature views; see `FeatureClient`.

    Attributes
    ----------
    plan
        The plan that the client reads by.

    Raises
    ------
    SettingsError
        When the URL cannot be used.

    Examples
    --------
    >>> from headrace import AsyncFeatureClient
    >>> async def mean_delay(carrier):
    ...     url = "redis://127.0.0.1:6379/0"
    ...     async with await AsyncFeatureClient.connect(url, "flights") as client:
    ...         response = await client.get_online_features(
    ...             ["carrier_delays:mean_1h"], {"carrier": [carrier]}
    ...         )
    ...     return response.columns["carrier_delays__mean_1h"][0]
    >>> import asyncio
    >>> asyncio.run(mean_delay("UA"))  # doctest: +SKIP
    12.5
    """

    def __init__(
        self, plan: Plan, redis_url: str, timeout_s: float = 5.0, repo_dir: Path | str | None = None
    ) -> None:
        self.plan = plan
        self._redis_url = redis_url
        self._exchange = AsyncExchange(redis_url, timeout_s)
        self._retrievals = Retrievals(plan, repo_dir)
        self._push: AsyncPusher | None = None

    @classmethod
    async def connect(
        cls,
        redis_url: str,
        project: str,
        timeout_s: float = 5.0,
        repo_dir: Path | str | None = None,
        plan_key: str | bytes | None = None,
    ) -> AsyncFeatureClient:
        """Make a client for the plan in force; parameters and errors are those of `FeatureClient.connect`."""
        plan = await asyncio.to_thread(load_plan, redis_url, project, timeout_s, plan_key)
        return cls(plan, redis_url, timeout_s, repo_dir)

    def prepare(self, features: Features, full_feature_names: bool = True) -> None:
        """Prepare a request, and import the functions of its on-demand views, before it is first made.

        Parameters
        ----------
        features, full_feature_names
            As for `get_online_features`.

        Raises
        ------
        UnknownNameError
            When a service, view or feature is not in the plan; names the nearest.
        HeadraceError
            When two features would have one name, or an on-demand view is asked for without `repo_dir`.
        DefinitionError
            When the function of an on-demand view cannot be loaded, or is another one than that of the plan.
        """
        self._retrievals.get(features, full_feature_names)

    async def get_online_features(
        self,
        features: Features,
        entity_rows: EntityRows,
        full_feature_names: bool = True,
        now_ms: int | None = None,
    ) -> FeatureResponse:
        """Read features of entities, all in one round trip.

        Parameters, response and errors are those of `FeatureClient.get_online_features`. On-demand views are
        computed in the event loop; their file is imported in a thread.
        """
        retrieval = self._retrievals.cached(features, full_feature_names)
        if retrieval is None:
            retrieval = await asyncio.to_thread(self._retrievals.get, features, full_feature_names)
        request = retrieval.request(entity_rows)
        return request.respond(await self._exchange.run(request.keys, request.commands), now_or(now_ms))

    async def push(self, source: str, rows: Any) -> dict[str, int]:
        """Write rows to all views of a push source; parameters and errors are those of `FeatureClient.push`.

        Rows are checked in a thread: leave them as they are until it returns.
        """
        spec = self.plan.push_source(source)
        if self._push is None:
            self._push = await asyncio.to_thread(self._pusher)
        return await self._push.push(spec, rows)

    async def wait(
        self, topic: str, prefix: Mapping[int, int], until: Until = "features", timeout_s: float = 30.0
    ) -> None:
        """Return when the effects of a prefix of a topic are visible.

        Parameters and errors are those of `FeatureClient.wait`. Cancelling returns at once; a thread goes on
        waiting until `timeout_s` is over.
        """
        await asyncio.to_thread(wait_for, self._redis_url, self.plan, topic, prefix, until, timeout_s)

    async def close(self) -> None:
        """Close all connections."""
        await self._exchange.close()

    def _pusher(self) -> AsyncPusher:
        from headrace.featurestore.online.push import AsyncPusher  # numpy, which reading does without

        return AsyncPusher(self.plan, self._redis_url, self._exchange)

    async def __aenter__(self) -> AsyncFeatureClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
