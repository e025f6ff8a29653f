"""Writes rows that are pushed over HTTP."""

from __future__ import annotations

from typing import Any

from headrace.featurestore.online.async_exchange import AsyncExchange
from headrace.featurestore.online.push import AsyncPusher
from headrace.featurestore.online.push_check import Places
from headrace.learners.feature_server.json_inputs import column_from_json
from headrace.learners.feature_server.push_api import PushRequest, WriteRequest
from headrace.learners.serving.refusals import Refusal
from headrace.schemas.errors import RequestError, UnknownNameError
from headrace.schemas.plan import Plan
from headrace.schemas.push_specs import PushSourceSpec

_PLACES = Places("df", by_column=True)
_TIME = "event_timestamp"  # what Feast's remote client calls the event time, whatever its column is called


class FeaturePusher:
    """Writes pushed rows into the online store; for one event loop.

    Parameters
    ----------
    plan
        The plan in force.
    redis_url
        The online store.
    """

    def __init__(self, plan: Plan, redis_url: str) -> None:
        self._plan = plan
        self._exchange = AsyncExchange(redis_url)
        self._pusher = AsyncPusher(plan, redis_url, self._exchange)

    async def push(self, asked: PushRequest) -> dict[str, int]:
        """Write rows to all views of a push source; return how many were written, by view.

        Raises
        ------
        Refusal
            With status 404 for a push source that is not there.
        RequestError
            When a column is missing, a value is wrong, or the rows are for the offline store.
        ServiceUnavailable
            When Redis does not answer.
        """
        try:
            source = self._plan.push_source(asked.push_source_name)
        except UnknownNameError as error:
            raise Refusal(404, "push_source_name", str(error)) from error
        tables = sorted({view.table for view in self._plan.views_on(source)})
        asked.check_target(" and ".join(f"table '{table}'" for table in tables))
        return await self._write(source, asked.df)

    async def write(self, asked: WriteRequest) -> dict[str, int]:
        """Write rows to one view of a push source; raises as `push` does."""
        name, field = asked.feature_view_name, "feature_view_name"
        fed = [source for source in self._plan.push_sources if name in source.views]
        if not fed:
            try:
                self._plan.view(name)
            except UnknownNameError as error:
                raise Refusal(404, field, str(error)) from error
            problem = f"view '{name}' is on no push source"
            raise RequestError(field, problem, "Define it on one, or write its table and materialise it")
        source, df = fed[0], asked.df
        names = source.renamed(df)
        if source.time_name not in names and _TIME in names:
            df = {**df, source.time_name: df[_TIME]}
        return await self._write(source.model_copy(update={"views": (name,)}), df)

    async def close(self) -> None:
        """Close all connections."""
        await self._exchange.close()

    async def _write(self, source: PushSourceSpec, df: dict[str, Any]) -> dict[str, int]:
        views = self._plan.views_on(source)
        dtypes = {field.name: field.dtype for view in views for field in (*view.join_keys, *view.features)}
        mapping = dict(source.field_mapping)
        columns = {
            name: column_from_json(dtypes[mapping.get(name, name)], column)
            if mapping.get(name, name) in dtypes
            else column
            for name, column in df.items()
        }
        return await self._pusher.push(source, columns, _PLACES)
