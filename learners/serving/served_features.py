"""The features of requests as they are served: read together, with their provenance for the log."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.featurestore.logged_values import from_logged, to_logged
from headrace.featurestore.online.async_client import AsyncFeatureClient
from headrace.learners.serving.api import PredictRequest
from headrace.learners.serving.metrics import ServiceMetrics
from headrace.learners.serving.model_inputs import features_read
from headrace.schemas.errors import HeadraceError, ServiceUnavailable
from headrace.schemas.feature_specs import FeatureRef
from headrace.schemas.plan import Plan
from headrace.schemas.records import Provenance, Value
from headrace.schemas.router_specs import RouterSpec

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """The features of one request.

    Attributes
    ----------
    features
        ``view__feature`` to value, of lists by element; None where they could not be read.
    provenance
        View to the position in the log that its row follows from.
    """

    features: dict[str, Value] | None
    provenance: dict[str, Provenance]


class ServedFeatures:
    """Reads the features of the requests of one router, which have passed its `RequestChecks`.

    Parameters
    ----------
    plan
        The plan in force.
    router
        Whose arms read the features.
    client
        Reads the online store.
    metrics
        Counts batches whose features could not be read.
    others
        Features to read besides: of models of another definition.

    Attributes
    ----------
    features
        What is read, as the client takes it.
    request_types
        Request fields that on-demand views take, with their types.
    """

    def __init__(
        self,
        plan: Plan,
        router: RouterSpec,
        client: AsyncFeatureClient,
        metrics: ServiceMetrics,
        others: Sequence[FeatureRef] = (),
    ) -> None:
        self._router, self._client, self._metrics = router.name, client, metrics
        own = plan.logged_features(router)
        refs = tuple(dict.fromkeys((*own, *others)))
        self.features = features_read(own, others)
        # Lists alone: of everything else the name and the value are those of the column.
        self._lists = {
            ref.full_name: names
            for ref in refs
            if (names := plan.logged_names(ref)) and names[0].place is not None
        }
        fields = [field for view in plan.on_demand_of(refs) for field in view.request]
        self.request_types = {field.name: field.dtype for field in fields}
        self._expires = any(plan.view(ref.view).ttl_ms for ref in plan.stored(refs))

    async def read(self, requests: Sequence[PredictRequest], now_ms: int) -> list[Served]:
        """Read the features of a batch: one read, or one for each event time where features can expire.

        Returns
        -------
        list of Served
            In the order of the requests.
        """
        if not self.features:
            return [Served({}, {})] * len(requests)
        served: list[Served] = [Served(None, {})] * len(requests)
        try:
            for as_of_ms, rows in self._rows_by_time(requests, now_ms).items():
                read = await self._read_at(as_of_ms, [requests[row] for row in rows])
                for row, features in zip(rows, read, strict=True):
                    served[row] = features
        except ServiceUnavailable as error:
            return self._without_features(requests, error)
        return served

    async def _read_at(self, as_of_ms: int, requests: Sequence[PredictRequest]) -> list[Served]:
        """Read features; the requests were checked, so that all errors are of functions and stored rows."""
        try:
            rows = [self._entity_row(request) for request in requests]
            response = await self._client.get_online_features(self.features, rows, now_ms=as_of_ms)
            columns = self._logged(response.columns)
            return [_served(columns, response.provenance, row) for row in range(len(requests))]
        except ServiceUnavailable:
            raise
        except Exception as error:
            if len(requests) == 1:
                return self._without_features(requests, error)
            # A function that fails on one row must not take the features of the others away.
            return [row for request in requests for row in await self._read_at(as_of_ms, [request])]

    def _logged(self, columns: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
        """Return columns as the prediction log has them: of each list one for each of its places."""
        if not self._lists:
            return columns
        elements = {
            each.name: [each.value(served) for served in columns[name]]
            for name, names in self._lists.items()
            for each in names
        }
        return {name: values for name, values in columns.items() if name not in self._lists} | elements

    def _without_features(self, requests: Sequence[PredictRequest], error: Exception) -> list[Served]:
        known = isinstance(error, HeadraceError)
        told = f"{'' if known else type(error).__name__ + ': '}{error}"
        _log.error("router '%s' answers without features: %s", self._router, told)
        self._metrics.feature_errors.inc()
        return [Served(None, {})] * len(requests)

    def _entity_row(self, request: PredictRequest) -> Mapping[str, Any]:
        """Return join keys, and the request fields that on-demand views take."""
        fields = {n: from_logged(dtype, request.value(n)) for n, dtype in self.request_types.items()}
        return {**request.entities, **fields}

    def _rows_by_time(self, requests: Sequence[PredictRequest], now_ms: int) -> dict[int, list[int]]:
        """Group the numbers of requests by the time as of which features may have expired."""
        rows: dict[int, list[int]] = {}
        for row, request in enumerate(requests):
            as_of_ms = now_ms if request.ts_ms is None or not self._expires else request.ts_ms
            rows.setdefault(as_of_ms, []).append(row)
        return rows


def _served(
    columns: Mapping[str, Sequence[Any]], provenance: Mapping[str, Sequence[Any]], row: int
) -> Served:
    origins = {
        view: Provenance.model_construct(
            partition=position.partition, offset=position.offset, as_of_ms=position.as_of_ms
        )
        for view, positions in provenance.items()
        if (position := positions[row]) is not None
    }
    return Served({name: to_logged(values[row]) for name, values in columns.items()}, origins)
