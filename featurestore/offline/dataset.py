"""Training sets: the features of a service for entities at times, in one of two senses.

*As served*: the vector that was answered with when a prediction was last made for these entities. *As of
event time*: what the feature log, and the tables of batch views, say of that time. See
``docs/guides/offline.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from headrace.featurestore.offline.feature_log import ViewLog, arrow_type
from headrace.featurestore.offline.on_demand_columns import add_on_demand, request_fields
from headrace.featurestore.offline.point_in_time import History, join_as_of
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import BatchViewSpec, FeatureRef, FieldSpec
from headrace.schemas.feature_types import LOGGED_TYPES
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import RouterSpec

TIME = "event_timestamp"
_MOMENT = arrow_type("UnixTimestamp")
_SERVED = ("example_id", "prediction_id")


def read_entities(file: Path, fields: Sequence[FieldSpec]) -> pa.Table:
    """Entities with times from CSV or Parquet, their columns in the types of the plan.

    Parameters
    ----------
    file
        With a column ``event_timestamp`` (in CSV ISO 8601; without a zone it is UTC).
    fields
        The join keys that are needed, and the fields of the request.

    Raises
    ------
    HeadraceError
        When the file cannot be read, or lacks a column.
    """
    types = {f.name: arrow_type(f.dtype) for f in fields if f.dtype in LOGGED_TYPES}
    try:
        if file.suffix == ".csv":
            times = pa.timestamp("us", "UTC")
            options = pyarrow.csv.ConvertOptions(
                column_types=types | {TIME: times}, strings_can_be_null=True, quoted_strings_can_be_null=False
            )
            try:
                table = pyarrow.csv.read_csv(file, convert_options=options)
            except pa.ArrowInvalid:  # times without a zone
                zoneless = {name: pa.timestamp("us") for name, kind in types.items() if kind == _MOMENT}
                options.column_types = types | zoneless | {TIME: pa.timestamp("us")}
                table = pyarrow.csv.read_csv(file, convert_options=options)
        else:
            table = pq.read_table(file)
        for name in [*(field.name for field in fields), TIME]:
            if name not in table.column_names:
                raise HeadraceError(
                    f"{file}: there is no column '{name}' (found: {', '.join(table.column_names)}); add it"
                )
        for name, kind in types.items():
            table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    except (OSError, pa.ArrowException) as error:
        raise HeadraceError(f"{file} cannot be read: {error}") from error
    return table


def join_keys_of(plan: Plan, service: str) -> list[FieldSpec]:
    """The join keys of all views of a service, and of those its on-demand views take features of, once."""
    views = (plan.view(ref.view) for ref in plan.stored(plan.service(service).features))
    return list({key.name: key for view in views for key in view.join_keys}.values())


def request_fields_of(plan: Plan, service: str) -> list[FieldSpec]:
    """What the on-demand views of a service take from the request, once."""
    return request_fields(plan, plan.service(service).features)


def as_of_event_time(
    plan: Plan, service: str, asked: pa.Table, feature_log: Path, repo_dir: Path | None = None
) -> pa.Table:
    """The features of a service as of the event times asked for, TTL honoured.

    Parameters
    ----------
    plan
        The plan.
    service
        Name of a feature service.
    asked
        Entities with ``event_timestamp``, and the fields that on-demand views take from the request.
    feature_log
        Folder of the feature log.
    repo_dir
        The Feast repository, which says where the tables of batch views are and has the functions of
        on-demand views; needed for those alone.

    Returns
    -------
    pyarrow.Table
        The columns of `asked`, then ``view__feature`` in the order of the service.

    Raises
    ------
    HeadraceError
        When a view has no rows, a table is not in files of this machine, or `asked` lacks a column.
    DefinitionError
        When the function of an on-demand view cannot be had, or fails.
    """
    refs, computed = plan.service(service).features, plan.on_demand_of(plan.service(service).features)
    by_view: dict[str, list[FeatureRef]] = {}
    for ref in plan.stored(refs):
        by_view.setdefault(ref.view, []).append(ref)
    batch = [view for view in by_view if isinstance(plan.view(view), BatchViewSpec)]
    histories = [_of_log(plan, refs, feature_log) for view, refs in by_view.items() if view not in batch]
    if (batch or computed) and repo_dir is None:
        kind, names = ("batch", batch) if batch else ("on-demand", [view.name for view in computed])
        raise HeadraceError(f"service '{service}' has {kind} views ({', '.join(names)}); name the repository")
    if batch and repo_dir is not None:
        histories += _of_tables(plan, [by_view[view] for view in batch], repo_dir)
    _require(asked, [field.name for field in request_fields(plan, refs)])
    joined = join_as_of(asked, TIME, histories)
    if repo_dir is not None:
        joined = add_on_demand(plan, refs, joined, repo_dir)
    return joined.select([*asked.column_names, *(ref.full_name for ref in refs)])


def as_served(
    plan: Plan, service: str, asked: pa.Table, router: RouterSpec, predictions: pa.Table
) -> pa.Table:
    """The features of a service as they were last served to these entities, at or before the times asked for.

    Parameters
    ----------
    predictions
        Predictions of the router with the columns of `headrace.streams.join.example_archive.read_examples` or
        `headrace.streams.join.example_archive.predictions_table`.

    Returns
    -------
    pyarrow.Table
        The columns of `asked`, ``prediction_id`` and ``served_timestamp`` of the prediction, both null where
        there was none, then ``view__feature`` in the order of the service.

    Raises
    ------
    HeadraceError
        When the router does not serve a feature, or `asked` lacks one of its entities.
    """
    names = [ref.full_name for ref in plan.service(service).features]
    served = {ref.full_name for ref in plan.logged_features(router)}
    if missing := [name for name in names if name not in served]:
        raise HeadraceError(
            f"router '{router.name}' does not serve {', '.join(missing)} of service '{service}'; take a "
            "service of one of its arms, or build the set as of event time"
        )
    kinds = {ref.full_name: arrow_type(plan.dtype_of(ref)) for ref in plan.service(service).features}
    name_of_id = next(name for name in _SERVED if name in predictions.column_names)
    served_at = pc.cast(predictions["ts_ms"], pa.timestamp("ms", "UTC"))
    rows = predictions.append_column("_served_at", served_at)
    columns = {f"feature.{name}": kind for name, kind in kinds.items()}
    columns |= {f"entity.{key.name}": arrow_type(key.dtype) for key in _entities(plan, router)}
    for name, kind in columns.items():
        known = name in rows.column_names  # if not, no prediction had it
        values = rows[name].cast(kind) if known else pa.nulls(len(rows), kind)
        rows = (rows.drop_columns(name) if known else rows).append_column(name, values)
    history = History(
        name=f"predictions of {router.name}",
        rows=rows,
        join_keys={key.name: f"entity.{key.name}" for key in _entities(plan, router)},
        features={"prediction_id": name_of_id, "served_timestamp": "_served_at"}
        | {name: f"feature.{name}" for name in names},
        timestamp="_served_at",
        created=name_of_id,
    )
    return join_as_of(asked, TIME, [history])


def router_of(plan: Plan, service: str, name: str | None = None) -> RouterSpec:
    """The router that serves a service: the one named, else the only one with an arm that reads it.

    Raises
    ------
    HeadraceError
        When there is not exactly one.
    """
    if name is not None:
        return plan.router(name)
    found = [r for r in plan.routers if any(plan.learner(arm).service == service for arm in r.arms)]
    if len(found) != 1:
        names = ", ".join(router.name for router in found) or "none"
        raise HeadraceError(f"which router serves '{service}'? Found {names}; name one with --router")
    return found[0]


def _entities(plan: Plan, router: RouterSpec) -> list[FieldSpec]:
    stored = plan.stored(plan.router_features(router))
    keys = {key.name: key for ref in stored for key in plan.view(ref.view).join_keys}
    return [keys[name] for name in router.entities if name in keys]


def _require(table: pa.Table, names: Iterable[str]) -> None:
    for name in names:
        if name not in table.column_names:
            raise HeadraceError(
                f"there is no column '{name}', which an on-demand view takes from the request (found: "
                f"{', '.join(table.column_names)}); add it, or build the set as served"
            )


def _of_log(plan: Plan, refs: Sequence[FeatureRef], feature_log: Path) -> History:
    log = ViewLog(feature_log, plan, refs[0].view)
    files = log.files()
    if not files:
        raise HeadraceError(
            f"view '{log.view.name}' has no rows in {feature_log} by its definition in force; let a worker "
            "or `headrace backfill` write them"
        )
    return History(
        name=log.view.name,
        rows=files,
        join_keys={key.name: key.name for key in log.view.join_keys},
        features={ref.full_name: ref.feature for ref in refs},
        ttl_ms=log.view.ttl_ms,
    )


def _of_tables(plan: Plan, views: Sequence[Sequence[FeatureRef]], repo_dir: Path) -> list[History]:
    from headrace.featurestore.feast_repo.repository import read_repository
    from headrace.featurestore.offline.feast_store import file_path

    repository = read_repository(repo_dir)
    defined = {view.name: view for view in repository.contents.feature_views}
    histories = []
    for refs in views:
        spec, source = plan.view(refs[0].view), defined[refs[0].view].batch_source
        in_table = {name: own for own, name in source.field_mapping.items()}
        histories.append(
            History(
                name=spec.name,
                rows=file_path(source, repository.path),
                join_keys={key.name: in_table.get(key.name, key.name) for key in spec.join_keys},
                features={ref.full_name: in_table.get(ref.feature, ref.feature) for ref in refs},
                timestamp=in_table.get(source.timestamp_field, source.timestamp_field),
                created=source.created_timestamp_column or None,
                ttl_ms=spec.ttl_ms,
            )
        )
    return histories
