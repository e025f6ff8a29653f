"""The SDK: features by service or by name, from Redis alone. Needs the plan, and neither Feast nor pandas.

>>> client = FeatureClient.connect("redis://127.0.0.1:6379/0", "flights")    # doctest: +SKIP
>>> client.get_online_features("delays", [{"carrier": "UA"}]).rows()         # doctest: +SKIP
[{'carrier': 'UA', 'carrier_delays__mean_1h': 12.5}]
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.featurestore.online.commands import AsyncExchange, Exchange
from headrace.featurestore.online.response import FeatureResponse
from headrace.featurestore.online.retrieval import EntityRows, Features, Retrievals
from headrace.featurestore.plans.store import PlanStore
from headrace.streams.connections.redis import redis_client
from headrace.streams.progress import ProgressStore, Until

if TYPE_CHECKING:
    from headrace.schemas.plan import Plan


class FeatureClient:
    """Reads online features. Threads may share one, and a forked process may go on using it.

    Parameters
    ----------
    plan
        The plan of the project.
    redis_url
        The online store; see `headrace.streams.connections.redis_url` for clusters, sentinels, TLS and
        options.
    timeout_s
        How long a reply may take, where the URL does not say.
    repo_dir
        The Feast repository, which has the functions of on-demand feature views. Their file is imported, and
        Feast with it, at the first request for one of them; nothing else needs it.
    """

    def __init__(
        self, plan: Plan, redis_url: str, timeout_s: float = 5.0, repo_dir: Path | str | None = None
    ) -> None:
        self.plan = plan
        self._redis_url = redis_url
        self._exchange = Exchange(redis_url, timeout_s)
        self._retrievals = Retrievals(plan, repo_dir)

    @classmethod
    def connect(
        cls, redis_url: str, project: str, timeout_s: float = 5.0, repo_dir: Path | str | None = None
    ) -> FeatureClient:
        """A client for the plan that is in force.

        Raises
        ------
        PlanError
            When the project has no plan.
        SettingsError
            When the URL cannot be used.
        ServiceUnavailable
            When Redis cannot be reached.
        """
        return cls(_load(redis_url, project, timeout_s), redis_url, timeout_s, repo_dir)

    def get_online_features(
        self,
        features: Features,
        entity_rows: EntityRows,
        full_feature_names: bool = True,
        now_ms: int | None = None,
    ) -> FeatureResponse:
        """Features of entities, all read in one round trip.

        Parameters
        ----------
        features
            A feature service, by name or as Feast's object (whose name counts), or a list of
            ``view:feature``.
        entity_rows
            One mapping per row, or one column per join key; with what on-demand views take from the request.
            More than that does no harm.
        full_feature_names
            Whether columns are called ``view__feature``; else ``feature``.
        now_ms
            The moment that ttl counts from, epoch milliseconds; the wall clock when None.

        Raises
        ------
        UnknownNameError
            When a service, view, feature, join key or request field is not known; names the nearest.
        HeadraceError
            When a join key has a value of another type.
        DefinitionError
            When an on-demand view cannot be computed.
        ServiceUnavailable
            When Redis cannot be reached.
        """
        request = self._retrievals.of(features, full_feature_names).prepare(entity_rows)
        return request.respond(self._exchange.run(request.keys, request.commands), _now(now_ms))

    def wait(
        self, topic: str, prefix: Mapping[int, int], until: Until = "features", timeout_s: float = 30.0
    ) -> None:
        """Block until the effects of a prefix of a topic are visible; see `ProgressStore.wait`."""
        with redis_client(self._redis_url) as client:
            ProgressStore(client, self.plan).wait(topic, prefix, until, timeout_s)

    def close(self) -> None:
        self._exchange.close()

    def __enter__(self) -> FeatureClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncFeatureClient:
    """`FeatureClient` for asyncio; the same methods, to be awaited, in one event loop."""

    def __init__(
        self, plan: Plan, redis_url: str, timeout_s: float = 5.0, repo_dir: Path | str | None = None
    ) -> None:
        self.plan = plan
        self._redis_url = redis_url
        self._exchange = AsyncExchange(redis_url, timeout_s)
        self._retrievals = Retrievals(plan, repo_dir)

    @classmethod
    async def connect(
        cls, redis_url: str, project: str, timeout_s: float = 5.0, repo_dir: Path | str | None = None
    ) -> AsyncFeatureClient:
        """A client for the plan that is in force; see `FeatureClient.connect`."""
        plan = await asyncio.to_thread(_load, redis_url, project, timeout_s)
        return cls(plan, redis_url, timeout_s, repo_dir)

    def prepare(self, features: Features, full_feature_names: bool = True) -> None:
        """Make a request ready, with the functions of its on-demand views, before it is first asked.

        Raises
        ------
        UnknownNameError
            When the service, a view or a feature is not in the plan.
        DefinitionError
            When the function of an on-demand view cannot be had.
        """
        self._retrievals.of(features, full_feature_names)

    async def get_online_features(
        self,
        features: Features,
        entity_rows: EntityRows,
        full_feature_names: bool = True,
        now_ms: int | None = None,
    ) -> FeatureResponse:
        """Features of entities, all read in one round trip; see `FeatureClient.get_online_features`.

        On-demand views are computed in the event loop; their file is imported in a thread.
        """
        retrieval = self._retrievals.prepared(features, full_feature_names)
        if retrieval is None:
            retrieval = await asyncio.to_thread(self._retrievals.of, features, full_feature_names)
        request = retrieval.prepare(entity_rows)
        return request.respond(await self._exchange.run(request.keys, request.commands), _now(now_ms))

    async def wait(
        self, topic: str, prefix: Mapping[int, int], until: Until = "features", timeout_s: float = 30.0
    ) -> None:
        """Return when the effects of a prefix of a topic are visible; see `ProgressStore.wait`."""
        with await asyncio.to_thread(redis_client, self._redis_url) as client:
            await asyncio.to_thread(ProgressStore(client, self.plan).wait, topic, prefix, until, timeout_s)

    async def close(self) -> None:
        await self._exchange.close()

    async def __aenter__(self) -> AsyncFeatureClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _load(redis_url: str, project: str, timeout_s: float) -> Plan:
    with redis_client(redis_url, timeout_s) as client:
        return PlanStore(client, project).load()


def _now(now_ms: int | None) -> int:
    return time.time_ns() // 1_000_000 if now_ms is None else now_ms
