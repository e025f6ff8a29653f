"""The audit: served vectors, recomputed from the raw log by DuckDB, feature by feature."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from headrace.featurestore.audit.comparison import Comparison, compare, is_exact
from headrace.featurestore.audit.event_sql import accepted_events, derived_table
from headrace.featurestore.audit.log_prefixes import (
    LeastOffsets,
    Place,
    ServedVector,
    SourceLog,
    served_vector,
)
from headrace.featurestore.audit.on_demand import OnDemandAudit
from headrace.featurestore.audit.read_views import ReadView, read_views
from headrace.featurestore.audit.recomputation import RecomputedVector, event_counts, recompute
from headrace.featurestore.audit.report import AuditReport
from headrace.featurestore.on_demand.functions import OnDemandFunctions
from headrace.schemas.feature_specs import SourceSpec, StreamViewSpec
from headrace.schemas.logged_names import logged_value
from headrace.schemas.plan import Plan
from headrace.schemas.records import Prediction


class Audit:
    """Recomputes the features of predictions of a router.

    Parameters
    ----------
    plan
        The plan the predictions were served under; those of another are passed over.
    router
        Name of the router.
    logs
        The raw log of each source, by name.
    settle_ms
        How much earlier (by ``ts_ms``) another prediction must have been made for this one to have read at
        least as much of the log; and a record of another partition appended, for this one to have read it.
    udfs
        Those of the stream views, by the name of their view; see
        `headrace.featurestore.udfs.loading.udf_functions`.
    repo_dir
        The Feast repository, which has the functions of on-demand views; needed for those alone.
    """

    def __init__(
        self,
        plan: Plan,
        router: str,
        logs: Mapping[str, SourceLog],
        settle_ms: int = 30_000,
        udfs: Mapping[str, Callable[[Any], Any]] | None = None,
        repo_dir: Path | None = None,
    ) -> None:
        self._plan, self._logs, self._udfs = plan, logs, udfs or {}
        self._settle_ms = settle_ms
        spec = plan.router(router)
        refs = plan.router_features(spec)
        self._served = {ref.full_name: plan.logged_names(ref) for ref in refs}
        self._views = read_views(plan, refs)
        self._least = LeastOffsets(plan, spec, self._views, settle_ms)
        self._on_demand = (plan, refs, OnDemandFunctions(repo_dir))

    def run(self, predictions: Sequence[Prediction], sample: int, seed: int = 0) -> AuditReport:
        """Recompute the features of a random sample of predictions.

        Parameters
        ----------
        predictions
            In the order of the log.
        sample
            How many, at most.

        Raises
        ------
        DefinitionError
            When the function of an on-demand view is not the one of the plan.
        """
        served = [p for p in predictions if p.plan_hash == self._plan.hash and p.features]
        chosen = sorted(random.Random(seed).sample(range(len(served)), min(sample, len(served))))
        least = self._least.of_chosen(served, {*chosen})
        drawn = [(served[number], least[number]) for number in chosen]
        report, on_demand = AuditReport(predictions=len(drawn)), OnDemandAudit(*self._on_demand)
        for source in self._plan.sources:
            views = [view for view in self._views if view.spec.source == source.name]
            if views and source.name in self._logs:
                self._audit_source(source, views, drawn, report, on_demand)
        for result in on_demand.results([prediction for prediction, _ in drawn]):
            prediction, _ = drawn[result.number]
            report.add(prediction, result.feature, result.outcome, result.served, result.recomputed)
        return report

    def _audit_source(
        self,
        source: SourceSpec,
        views: Iterable[ReadView],
        drawn: Sequence[tuple[Prediction, Mapping[Place, int]]],
        report: AuditReport,
        on_demand: OnDemandAudit,
    ) -> None:
        log = self._logs[source.name]
        database = self._database(source)
        complete_from_ms = _complete_from_ms(database, source)
        report.records[source.name] = event_counts(database)
        for view in views:
            is_direct = self._plan.is_direct(view.spec)
            vectors = [
                served_vector(view, is_direct, log, prediction, least, self._settle_ms)
                for prediction, least in drawn
            ]
            recomputed = recompute(database, view, vectors)
            report.add_elsewhere(source.name, sum(vector.elsewhere for vector in recomputed.values()))
            for number, vector in enumerate(vectors):
                compared = self._compare(view, vector, recomputed[number], complete_from_ms)
                for name, comparison in compared:
                    if name in self._served:
                        served = self._served_value(vector.prediction, name)
                        report.add(vector.prediction, name, comparison.outcome, served, comparison.value)
                    on_demand.add_input(number, name, comparison)

    def _database(self, source: SourceSpec) -> duckdb.DuckDBPyConnection:
        """A database with the accepted events of a source."""
        events = self._logs[source.name].events
        database = duckdb.connect()
        database.register("log", events)
        if any(view.udf is not None for view in self._plan.views_of(source.name)):
            from headrace.featurestore.audit.udfs import derive  # pandas, which few audits need

            derived = derive(self._plan, source, events, self._udfs)
            database.register("failed", derived.failed)
            for name, rows in derived.rows.items():
                database.register(derived_table(name), rows)
        database.execute(accepted_events(self._plan, source))
        return database

    def _served_value(self, prediction: Prediction, name: str) -> Any:
        """Return what a prediction holds of a feature; a list without the places that it does not reach."""
        names = self._served.get(name)
        return prediction.features.get(name) if names is None else logged_value(names, prediction.features)

    def _compare(
        self,
        view: ReadView,
        vector: ServedVector,
        recomputed: RecomputedVector,
        complete_from_ms: float,
    ) -> Iterator[tuple[str, Comparison]]:
        """Compare each feature of a view, by full name."""
        served, has_row = vector.prediction.features, vector.as_of_ms is not None
        expired = _is_expired(view.spec, vector)
        for aggregation, value in zip(view.spec.aggregations, recomputed.values, strict=True):
            name = f"{view.name}__{aggregation.feature}"
            expected = None if expired else value
            start_ms = -math.inf
            if aggregation.window_ms and recomputed.clock_ms is not None:
                start_ms = recomputed.clock_ms - aggregation.window_ms - aggregation.hop_ms
            if complete_from_ms > start_ms:
                yield name, Comparison(expected, "unchecked")
            elif name in served or name in self._served:
                logged = self._served_value(vector.prediction, name)
                yield name, compare(aggregation, has_row, logged, expected)
            else:  # not logged: it counts as it should have been, where that is certain
                expected = None if not has_row and expected in (None, 0) else expected
                yield name, Comparison(expected, "equal" if is_exact(aggregation) else "unchecked")


def _is_expired(view: StreamViewSpec, vector: ServedVector) -> bool:
    """Whether the row was older than the TTL when the prediction was made."""
    if not view.ttl_ms or vector.as_of_ms is None:
        return False
    return vector.as_of_ms < vector.prediction.ts_ms - view.ttl_ms


def _complete_from_ms(database: duckdb.DuckDBPyConnection, source: SourceSpec) -> float:
    """The time from which on the log has every event; -inf when nothing of it was deleted."""
    rows = database.execute("SELECT min(pos), arg_min(moment, pos) FROM judged GROUP BY part").fetchall()
    late_ms = (source.late_tiles + 1) * source.tile_ms
    return max(
        (moment + late_ms for first, moment in rows if first and moment is not None), default=-math.inf
    )
