"""Training sets as of event time: what the feature log, and the tables of batch views, say of that time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.featurestore.offline.entities import TIME
from headrace.featurestore.offline.feature_log import ViewLog
from headrace.featurestore.offline.on_demand_columns import add_on_demand, request_fields
from headrace.featurestore.offline.point_in_time import History, join_as_of
from headrace.featurestore.tables.table_rows import TableRows
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import BatchViewSpec, FeatureRef
from headrace.schemas.plan import Plan

_Projections = Sequence[Sequence[FeatureRef]]  # each the features of one view, read by the same columns


def as_of_event_time(
    plan: Plan, service: str, asked: pa.Table, feature_log: Path, repo_dir: Path | None = None
) -> pa.Table:
    """Join the features of a service as of the event times asked for, TTL honoured.

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
    refs = plan.service(service).features
    projections = _projections(plan.stored(refs))
    batch = [own for own in projections if isinstance(plan.view(own[0].view), BatchViewSpec)]
    if repo_dir is None:
        _refuse_without_repository(plan, service, dict.fromkeys(own[0].view for own in batch))
    histories = [_log_history(plan, own, feature_log) for own in projections if own not in batch]
    if batch and repo_dir is not None:
        histories += _table_histories(plan, batch, repo_dir)
    _require(asked, [field.name for field in request_fields(plan, refs)])
    joined = join_as_of(asked, TIME, histories)
    if repo_dir is not None:
        joined = add_on_demand(plan, refs, joined, repo_dir)
    return joined.select([*asked.column_names, *(ref.full_name for ref in refs)])


def _projections(refs: Iterable[FeatureRef]) -> list[list[FeatureRef]]:
    projections: dict[object, list[FeatureRef]] = {}
    for ref in refs:
        projections.setdefault(ref.projection, []).append(ref)
    return list(projections.values())


def _asked_keys(plan: Plan, ref: FeatureRef) -> dict[str, str]:
    """Join keys of the view of a feature by the columns that they are asked for in."""
    keys = plan.view(ref.view).join_keys
    return {asked.name: key.name for asked, key in zip(ref.request_keys(keys), keys, strict=True)}


def _refuse_without_repository(plan: Plan, service: str, batch: Iterable[str]) -> None:
    on_demand = [view.name for view in plan.on_demand_of(plan.service(service).features)]
    for kind, names in (("batch", [*batch]), ("on-demand", on_demand)):
        if names:
            raise HeadraceError(
                f"service '{service}' has {kind} views ({', '.join(names)}); name the repository"
            )


def _require(table: pa.Table, names: Iterable[str]) -> None:
    for name in names:
        if name not in table.column_names:
            raise HeadraceError(
                f"there is no column '{name}', which an on-demand view takes from the request (found: "
                f"{', '.join(table.column_names)}); add it, or build the set as served"
            )


def _log_history(plan: Plan, refs: Sequence[FeatureRef], feature_log: Path) -> History:
    """The history of a stream view: its files in the feature log."""
    log = ViewLog(feature_log, plan, refs[0].view)
    return History(
        name=log.view.name,
        rows=TableRows(log.view.name, lambda: _log_files(log), log.folder),
        join_keys=_asked_keys(plan, refs[0]),
        features={ref.full_name: ref.feature for ref in refs},
        ttl_ms=log.view.ttl_ms,
    )


def _log_files(log: ViewLog) -> list[Path]:
    files = log.files()
    if not files:
        raise HeadraceError(
            f"view '{log.view.name}' has no rows in {log.folder} by its definition in force; let a worker or "
            "`headrace backfill` write them"
        )
    return files


def _table_histories(plan: Plan, batch: _Projections, repo_dir: Path) -> list[History]:
    """The histories of batch views: their tables, which only Feast knows the places of."""
    from headrace.featurestore.feast_repo.repository import read_repository

    repository = read_repository(repo_dir)
    names = {own[0].view for own in batch}
    defined = {view.name: view for view in repository.contents.feature_views if view.name in names}
    for view in defined.values():
        if view.batch_source is None:
            raise HeadraceError(
                f"view '{view.name}' has only pushed rows, and no table with its past; give it one"
            )
        repository.infer(view)
    return [_table_history(plan, own, defined[own[0].view].batch_source, repository.path) for own in batch]


def _table_history(plan: Plan, refs: Sequence[FeatureRef], source: Any, repo_path: Path) -> History:
    from headrace.featurestore.offline.table_history import table_history

    view = plan.view(refs[0].view)
    return table_history(
        view.name,
        source,
        repo_path,
        join_keys=_asked_keys(plan, refs[0]),
        features={ref.full_name: ref.feature for ref in refs},
        ttl_ms=view.ttl_ms,
    )
