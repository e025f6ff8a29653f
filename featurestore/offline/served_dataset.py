"""Training sets as served: the vectors that predictions for these entities were made from."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from headrace.featurestore.offline.arrow_rows import arrow_type
from headrace.featurestore.offline.entities import TIME
from headrace.featurestore.offline.point_in_time import History, join_as_of
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import FieldSpec
from headrace.schemas.logged_names import LoggedName
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import RouterSpec

_ID_COLUMNS = ("example_id", "prediction_id")  # of an archive of examples, and of a table of predictions
_SERVED_AT = "_served_at"


def as_served(
    plan: Plan, service: str, asked: pa.Table, router: RouterSpec, predictions: pa.Table
) -> pa.Table:
    """Join the features of a service as they were last served, at or before the times asked for.

    Parameters
    ----------
    plan
        The plan.
    service
        Name of a feature service.
    asked
        Entities with ``event_timestamp``.
    router
        The router that serves the features.
    predictions
        Predictions of the router with the columns of `headrace.streams.join.example_archive.read_examples` or
        `headrace.streams.join.example_archive.predictions_table`.

    Returns
    -------
    pyarrow.Table
        The columns of `asked`, ``prediction_id`` and ``served_timestamp`` of the prediction, both null where
        there was none, then ``view__feature`` in the order of the service, of lists one column for each
        element that the router logs, ``view__feature__0`` and so on.

    Raises
    ------
    HeadraceError
        When the router does not serve a feature, or `asked` lacks one of its entities.
    """
    refs = plan.service(service).features
    served = {ref.full_name for ref in plan.logged_features(router)}
    if missing := [ref.full_name for ref in refs if ref.full_name not in served]:
        raise HeadraceError(
            f"router '{router.name}' does not serve {', '.join(missing)} of service '{service}'; take a "
            "service of one of its arms, or build the set as of event time"
        )
    keys = _entities(plan, router)
    names = served_names(plan, service)
    types = {f"feature.{each.name}": arrow_type(each.dtype) for each in names}
    types |= {f"entity.{key.name}": arrow_type(key.dtype) for key in keys}
    rows = _with_types(predictions, types)
    served_at = pc.cast(predictions["ts_ms"], pa.timestamp("ms", "UTC"))
    id_column = next(name for name in _ID_COLUMNS if name in predictions.column_names)
    history = History(
        name=f"predictions of {router.name}",
        rows=rows.append_column(_SERVED_AT, served_at),
        join_keys={key.name: f"entity.{key.name}" for key in keys},
        features={"prediction_id": id_column, "served_timestamp": _SERVED_AT}
        | {each.name: f"feature.{each.name}" for each in names},
        timestamp=_SERVED_AT,
        created=id_column,
    )
    return join_as_of(asked, TIME, [history])


def served_names(plan: Plan, service: str) -> list[LoggedName]:
    """List what stands in predictions for the features of a service, in its order."""
    return [each for ref in plan.service(service).features for each in plan.logged_names(ref)]


def router_of(plan: Plan, service: str, name: str | None = None) -> RouterSpec:
    """Return the router that serves a service: the named one, or the only one with an arm that reads it.

    Raises
    ------
    HeadraceError
        When there is not exactly one.
    """
    if name is not None:
        return plan.router(name)
    routers = [r for r in plan.routers if any(plan.learner(arm).service == service for arm in r.arms)]
    if len(routers) != 1:
        names = ", ".join(router.name for router in routers) or "none"
        raise HeadraceError(f"which router serves '{service}'? Found {names}; name one with --router")
    return routers[0]


def _entities(plan: Plan, router: RouterSpec) -> list[FieldSpec]:
    """The join keys of what a router serves, in the order of its entities."""
    keys = {key.name: key for key in plan.request_keys(plan.router_features(router))}
    return [keys[name] for name in router.entities if name in keys]


def _with_types(table: pa.Table, types: Mapping[str, pa.DataType]) -> pa.Table:
    """The table with its columns in these types; a column that no prediction had is null."""
    for name, kind in types.items():
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
        else:
            table = table.append_column(name, pa.nulls(len(table), kind))
    return table
