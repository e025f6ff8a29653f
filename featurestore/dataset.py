"""Training sets: the features of a service for entities at times, in one of two senses.

*As served*: the vector that was answered with when a prediction was last made for these entities. *As of
event time*: what the feature log, and the tables of batch views, say of that time. See ``docs/offline.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from featurestore.feature_log import ViewLog, arrow_type
from featurestore.point_in_time import History, join_as_of
from schemas.errors import HeadraceError
from schemas.feature_specs import BatchViewSpec, FeatureRef, FieldSpec, ValueType
from schemas.plan import Plan
from schemas.router_specs import RouterSpec

TIME = "event_timestamp"
_TYPES: dict[ValueType, pa.DataType] = {"Int32": pa.int32(), "Int64": pa.int64(), "String": pa.string()}
_SERVED = ("example_id", "prediction_id")


def read_entities(file: Path, keys: Iterable[FieldSpec]) -> pa.Table:
    """Entities with times from CSV or Parquet, their join keys in the types of the plan.

    Parameters
    ----------
    file
        With a column ``event_timestamp`` (in CSV ISO 8601; without a zone it is UTC).
    keys
        The join keys that are needed.

    Raises
    ------
    HeadraceError
        When the file cannot be read, or lacks a column.
    """
    types = {key.name: _TYPES[key.dtype] for key in keys}
    try:
        if file.suffix == ".csv":
            times = pa.timestamp("us", "UTC")
            options = pyarrow.csv.ConvertOptions(
                column_types=types | {TIME: times}, strings_can_be_null=True, quoted_strings_can_be_null=False
            )
            try:
                table = pyarrow.csv.read_csv(file, convert_options=options)
            except pa.ArrowInvalid:  # times without a zone
                options.column_types = types | {TIME: pa.timestamp("us")}
                table = pyarrow.csv.read_csv(file, convert_options=options)
        else:
            table = pq.read_table(file)
        for name in [*types, TIME]:
            if name not in table.column_names:
                raise HeadraceError(
                    f"{file}: there is no column '{name}' (found: {', '.join(table.column_names)}); add it"
                )
        for name, kind in types.items():
            table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    except (OSError, pa.ArrowException) as error:
        raise HeadraceError(f"{file} cannot be read: {error}") from error
    return table


def _stored(plan: Plan, service: str) -> tuple[FeatureRef, ...]:
    """The features of a service, which logs and tables know."""
    computed = {view.name for view in plan.on_demand_views}
    features = plan.service(service).features
    for ref in features:
        if ref.view in computed:
            raise HeadraceError(
                f"service '{service}' has on-demand view '{ref.view}', which is not computed for training "
                "sets yet; take a service of its inputs, and compute it from the set"
            )
    return features


def join_keys_of(plan: Plan, service: str) -> list[FieldSpec]:
    """The join keys of all views of a service, once.

    Raises
    ------
    HeadraceError
        When one of them is computed on demand.
    """
    views = (plan.view(ref.view) for ref in _stored(plan, service))
    return list({key.name: key for view in views for key in view.join_keys}.values())


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
        Entities with ``event_timestamp``.
    feature_log
        Folder of the feature log.
    repo_dir
        The Feast repository, which says where the tables of batch views are; needed for those alone.

    Returns
    -------
    pyarrow.Table
        The columns of `asked`, then ``view__feature`` in the order of the service.

    Raises
    ------
    HeadraceError
        When a view has no rows or a table is not in files of this machine.
    """
    by_view: dict[str, list[FeatureRef]] = {}
    for ref in _stored(plan, service):
        by_view.setdefault(ref.view, []).append(ref)
    batch = [view for view in by_view if isinstance(plan.view(view), BatchViewSpec)]
    histories = [_of_log(plan, refs, feature_log) for view, refs in by_view.items() if view not in batch]
    if batch:
        if repo_dir is None:
            raise HeadraceError(
                f"service '{service}' has batch views ({', '.join(batch)}); name the repository"
            )
        histories += _of_tables(plan, [by_view[view] for view in batch], repo_dir)
    joined = join_as_of(asked, TIME, histories)
    return joined.select([*asked.column_names, *(r.full_name for r in _stored(plan, service))])


def as_served(
    plan: Plan, service: str, asked: pa.Table, router: RouterSpec, predictions: pa.Table
) -> pa.Table:
    """The features of a service as they were last served to these entities, at or before the times asked for.

    Parameters
    ----------
    predictions
        Predictions of the router with the columns of `streams.archive.read_examples` or
        `streams.archive.predictions_table`.

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
    kinds = _kinds(plan, service)
    names = [*kinds]
    served = {ref.full_name for ref in plan.router_features(router)}
    if missing := [name for name in names if name not in served]:
        raise HeadraceError(
            f"router '{router.name}' does not serve {', '.join(missing)} of service '{service}'; take a "
            "service of one of its arms, or build the set as of event time"
        )
    name_of_id = next(name for name in _SERVED if name in predictions.column_names)
    served_at = pc.cast(predictions["ts_ms"], pa.timestamp("ms", "UTC"))
    rows = predictions.append_column("_served_at", served_at)
    columns = {f"feature.{name}": kind for name, kind in kinds.items()}
    columns |= {f"entity.{key.name}": _TYPES[key.dtype] for key in _entities(plan, router)}
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


def _kinds(plan: Plan, service: str) -> dict[str, pa.DataType]:
    """Types of the features of a service."""
    found = {}
    for ref in _stored(plan, service):
        (field,) = [field for field in plan.view(ref.view).features if field.name == ref.feature]
        found[ref.full_name] = arrow_type(field.dtype)
    return found


def _entities(plan: Plan, router: RouterSpec) -> list[FieldSpec]:
    keys = {k.name: k for ref in plan.router_features(router) for k in plan.view(ref.view).join_keys}
    return [keys[name] for name in router.entities if name in keys]


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
    from featurestore.feast_repository import read_repository
    from featurestore.offline_store import file_path

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
