"""The features of requests as they are served: read at once, and logged with where they come from."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.featurestore.logged_values import from_logged, to_logged
from headrace.featurestore.online.client import AsyncFeatureClient
from headrace.learners.serving.api import PredictRequest
from headrace.learners.serving.metrics import ServiceMetrics
from headrace.schemas.errors import DefinitionError, HeadraceError, RequestError, ServiceUnavailable
from headrace.schemas.plan import Plan
from headrace.schemas.records import Provenance, Value
from headrace.schemas.router_specs import RouterSpec

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """The features of one request; None where they could not be read at all."""

    features: dict[str, Value] | None
    provenance: dict[str, Provenance]


class ServedFeatures:
    """Reads the features of the requests of one router.

    Parameters
    ----------
    router
        Which features.
    client
        Reads the online store.

    Attributes
    ----------
    names
        What is read, ``view:feature``.
    asked
        What on-demand views take from the request: name to type.
    """

    def __init__(
        self, plan: Plan, router: RouterSpec, client: AsyncFeatureClient, metrics: ServiceMetrics
    ) -> None:
        self._router, self._client, self._metrics = router.name, client, metrics
        refs = plan.logged_features(router)
        self.names = [f"{ref.view}:{ref.feature}" for ref in refs]
        fields = [field for view in plan.on_demand_of(refs) for field in view.request]
        self.asked = {field.name: field.dtype for field in fields}
        self._expires = any(plan.view(ref.view).ttl_ms for ref in plan.stored(refs))

    async def read(self, requests: Sequence[PredictRequest], now_ms: int) -> list[Served]:
        """Those of a batch, in its order: one read, or one per moment where features can expire.

        Raises
        ------
        RequestError
            When a join key is of another type.
        """
        if not self.names:
            return [Served({}, {})] * len(requests)
        found: list[Served] = [Served(None, {})] * len(requests)
        try:
            for moment, rows in self._moments(requests, now_ms).items():
                served = await self._read_at(moment, [requests[row] for row in rows])
                for row, one in zip(rows, served, strict=True):
                    found[row] = one
        except ServiceUnavailable as error:
            return self._without_features(requests, error)
        return found

    async def _read_at(self, moment: int, requests: Sequence[PredictRequest]) -> list[Served]:
        try:
            rows = [self._entity_row(request) for request in requests]
            response = await self._client.get_online_features(self.names, rows, now_ms=moment)
        except ServiceUnavailable:
            raise
        except DefinitionError as error:
            if len(requests) == 1:
                return self._without_features(requests, error)
            # A function that fails on one row must not take the features of the others away.
            return [one for request in requests for one in await self._read_at(moment, [request])]
        except HeadraceError as error:
            raise RequestError("entities", str(error), "Send join keys of the declared types") from error
        return [_served(response.columns, response.provenance, row) for row in range(len(requests))]

    def _without_features(self, requests: Sequence[PredictRequest], error: HeadraceError) -> list[Served]:
        _log.error("router '%s' answers without features: %s", self._router, error)
        self._metrics.feature_errors.inc()
        return [Served(None, {})] * len(requests)

    def _entity_row(self, request: PredictRequest) -> Mapping[str, Any]:
        """Join keys, and what on-demand views take from the request."""
        asked = {n: from_logged(dtype, request.value(n)) for n, dtype in self.asked.items()}
        return {**request.entities, **asked}

    def _moments(self, requests: Sequence[PredictRequest], now_ms: int) -> dict[int, list[int]]:
        moments: dict[int, list[int]] = {}
        for row, request in enumerate(requests):
            moment = now_ms if request.ts_ms is None or not self._expires else request.ts_ms
            moments.setdefault(moment, []).append(row)
        return moments


def _served(
    columns: Mapping[str, Sequence[Any]], provenance: Mapping[str, Sequence[Any]], row: int
) -> Served:
    origins = {
        view: Provenance.model_construct(partition=at.partition, offset=at.offset, as_of_ms=at.as_of_ms)
        for view, places in provenance.items()
        if (at := places[row]) is not None
    }
    return Served({name: to_logged(values[row]) for name, values in columns.items()}, origins)
