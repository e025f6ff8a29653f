"""The audit: served vectors, recomputed from the raw log by DuckDB, feature by feature.

A vector is recomputed from the prefix its row says it follows from; or from a longer one, where predictions
made `settle_ms` earlier had seen more of that partition, for then this one must have, too. So what was
served wrong is found, and what should have been served and was not.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from headrace.featurestore.audit import sql as audit_sql
from headrace.featurestore.audit.comparison import Input, compared, is_exact
from headrace.featurestore.audit.on_demand import OnDemandAudit
from headrace.featurestore.on_demand.functions import OnDemandFunctions
from headrace.schemas.feature_specs import SourceSpec, StreamViewSpec
from headrace.schemas.plan import Plan
from headrace.schemas.records import Prediction
from headrace.streams.log.partitioner import partition_for

_ARROW_KEYS = {"Int32": pa.int64(), "Int64": pa.int64(), "String": pa.string()}
_REMEMBERED = 20  # differences shown


@dataclass(frozen=True)
class Difference:
    """A served value and what SQL says it should have been."""

    prediction_id: str
    feature: str
    kind: str  # "different" or "missing"
    served: Any
    recomputed: Any


@dataclass
class AuditReport:
    """What became of the sampled values, by feature (``view__feature``).

    `missing` counts features of rows that were not there although the log had events of their keys.
    `unchecked` counts those the log does not reach back far enough for.
    """

    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    examples: list[Difference] = field(default_factory=list)
    predictions: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing was different or missing, and something was equal."""
        total: Counter[str] = sum(self.counts.values(), Counter())
        return not (total["different"] or total["missing"]) and total["equal"] > 0

    def add(self, prediction: Prediction, name: str, kind: str, served: Any, recomputed: Any) -> None:
        self.counts[name][kind] += 1
        if kind in ("different", "missing") and len(self.examples) < _REMEMBERED:
            self.examples.append(Difference(prediction.prediction_id, name, kind, served, recomputed))


@dataclass(frozen=True)
class SourceLog:
    """The raw log of an event topic.

    Attributes
    ----------
    events
        Table of `headrace.featurestore.audit.raw_events.raw_table`.
    heard
        For the views behind a shuffle: (shard, offset of a block, source partition, next offset there).
    """

    events: pa.Table
    heard: Sequence[tuple[int, int, int, int]] = ()


@dataclass(frozen=True)
class _Asked:
    """A vector to be recomputed, from these prefixes: source partition to next offset."""

    prediction: Prediction
    prefixes: Mapping[int, int]
    as_of_ms: int | None  # None: there was no row


class _Seen:
    """What the predictions of one partition of the log had seen, by their time."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, Mapping[Any, int]]] = []
        self._taken: dict[Any, int] = {}
        self._taken_ms = -math.inf

    def add(self, ts_ms: int, number: int, places: Mapping[Any, int]) -> None:
        heapq.heappush(self._waiting, (ts_ms, number, places))

    def before(self, ts_ms: int) -> dict[Any, int]:
        """The greatest offsets of those with an earlier time; none once a later one has been asked for."""
        while self._waiting and self._waiting[0][0] < ts_ms:
            self._taken_ms, _, places = heapq.heappop(self._waiting)
            for where, offset in places.items():
                self._taken[where] = max(offset, self._taken.get(where, 0))
        return dict(self._taken) if self._taken_ms < ts_ms else {}


class Audit:
    """Checks predictions of a router.

    Parameters
    ----------
    plan
        The plan the predictions were served under; those of another are passed over.
    router
        Name of the router.
    logs
        The raw log of each source, by name.
    settle_ms
        How much earlier (by ``ts_ms``) another prediction must have been made for this one to have seen at
        least as much of the log.
    udfs
        Those of the stream views, by the name of their view; see `udf_functions` of
        `headrace.featurestore.udfs.loading`.
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
        self._plan, self._logs, self._settle_ms = plan, logs, settle_ms
        self._router = plan.router(router)
        refs = plan.router_features(self._router)
        stream = {view.name: view for view in plan.stream_views}
        self._served = {ref.full_name for ref in refs}
        self._views = [
            stream[name] for name in dict.fromkeys(ref.view for ref in plan.stored(refs)) if name in stream
        ]
        self._on_demand = (plan, refs, OnDemandFunctions(repo_dir))
        self._udfs = udfs or {}

    def run(self, predictions: Sequence[Prediction], sample: int, seed: int = 0) -> AuditReport:
        """Recompute the features of so many predictions, drawn at random.

        Parameters
        ----------
        predictions
            In the order of the log.
        sample
            How many.
        """
        served = [p for p in predictions if p.plan_hash == self._plan.hash and p.features]
        chosen = set(random.Random(seed).sample(range(len(served)), min(sample, len(served))))
        report = AuditReport(predictions=len(chosen))
        bounds, numbers = self._bounds(served, chosen), sorted(chosen)
        on_demand = OnDemandAudit(*self._on_demand)
        for source in self._plan.sources:
            views = [view for view in self._views if view.source == source.name]
            if views and source.name in self._logs:
                drawn = [(served[n], bounds[n]) for n in numbers]
                self._check_source(source, views, drawn, report, on_demand)
        for found in on_demand.verdicts([served[n] for n in numbers]):
            one = served[numbers[found.number]]
            report.add(one, found.name, found.kind, found.served, found.recomputed)
        return report

    def _bounds(self, served: Sequence[Prediction], chosen: set[int]) -> dict[int, dict[Any, int]]:
        """By number: the prefixes a prediction must have seen, by (source, behind a shuffle, partition).

        They are those of predictions before it in its partition of the log, and `settle_ms` earlier. One
        whose time is behind that of its predecessors gets none: it was asked about the past.
        """
        logs: dict[int, _Seen] = defaultdict(_Seen)
        bounds: dict[int, dict[Any, int]] = {}
        for n, prediction in enumerate(served):
            log = logs[partition_for(prediction.key.encode(), self._router.partitions)]
            found = log.before(prediction.ts_ms - self._settle_ms)
            if n in chosen:
                bounds[n] = found
            places = {
                (view.source, not self._plan.is_direct(view), at.partition): at.offset
                for view in self._views
                if (at := prediction.provenance.get(view.name)) is not None
            }
            log.add(prediction.ts_ms, n, places)
        return bounds

    def _check_source(
        self,
        source: SourceSpec,
        views: Iterable[StreamViewSpec],
        drawn: Sequence[tuple[Prediction, Mapping[Any, int]]],
        report: AuditReport,
        on_demand: OnDemandAudit,
    ) -> None:
        log = self._logs[source.name]
        database = duckdb.connect()
        database.register("log", log.events)
        if any(view.udf is not None for view in self._plan.views_of(source.name)):
            self._derive(database, source)
        database.execute(audit_sql.judged(self._plan, source))
        whole_from = self._whole_from(database, source)
        for view in views:
            asked = [self._ask(view, log, prediction, bounds) for prediction, bounds in drawn]
            recomputed = _recompute(database, view, asked)
            for number, one in enumerate(asked):
                clock_ms, values = recomputed[number]
                for name, found in self._compare(view, one, clock_ms, values, whole_from):
                    if name in self._served:
                        got = one.prediction.features.get(name)
                        report.add(one.prediction, name, found.kind, got, found.value)
                    on_demand.note(number, name, found)

    def _derive(self, database: duckdb.DuckDBPyConnection, source: SourceSpec) -> None:
        from headrace.featurestore.audit.udfs import derive  # pandas, which few audits need

        derived = derive(self._plan, source, self._logs[source.name].events, self._udfs)
        database.register("failed", derived.failed)
        for name, rows in derived.rows.items():
            database.register(audit_sql.derived_of(name), rows)

    @staticmethod
    def _whole_from(database: duckdb.DuckDBPyConnection, source: SourceSpec) -> float:
        """The log has every event from this time on; -inf when nothing of it was deleted."""
        rows = database.execute("SELECT min(pos), arg_min(moment, pos) FROM judged GROUP BY part").fetchall()
        late_ms = (source.late_tiles + 1) * source.tile_ms
        return max(
            (moment + late_ms for first, moment in rows if first and moment is not None), default=-math.inf
        )

    def _ask(
        self, view: StreamViewSpec, log: SourceLog, prediction: Prediction, bounds: Mapping[Any, int]
    ) -> _Asked:
        direct = self._plan.is_direct(view)
        mine = {where[2]: n for where, n in bounds.items() if where[:2] == (view.source, not direct)}
        at = prediction.provenance.get(view.name)
        if direct:
            prefixes = mine if at is None else {at.partition: max(at.offset, mine.get(at.partition, 0))}
            return _Asked(prediction, prefixes, None if at is None else at.as_of_ms)
        if at is not None:
            heard = _heard(log, at.partition, max(at.offset, mine.get(at.partition, 0)))
            return _Asked(prediction, heard, at.as_of_ms)
        # Which shard the row should have come from is not known: what all of them had heard.
        shards = [_heard(log, shard, mine.get(shard, 0)) for shard in {one[0] for one in log.heard}]
        parts = {part for heard in shards for part in heard}
        return _Asked(prediction, {p: min(h.get(p, 0) for h in shards) for p in parts}, None)

    def _compare(
        self,
        view: StreamViewSpec,
        asked: _Asked,
        clock_ms: int | None,
        values: Sequence[Any],
        whole_from: float,
    ) -> Iterator[tuple[str, Input]]:
        """For each feature what it should have been, and how what was served compares with that."""
        prediction, there = asked.prediction, asked.as_of_ms is not None
        expired = view.ttl_ms and there and asked.as_of_ms < prediction.ts_ms - view.ttl_ms  # type: ignore[operator]
        for a, value in zip(view.aggregations, values, strict=True):
            name = f"{view.name}__{a.feature}"
            want = None if expired else value
            first_ms = -math.inf if not a.window_ms or clock_ms is None else clock_ms - a.window_ms - a.hop_ms
            if whole_from > first_ms:
                yield name, Input(want, "unchecked")
            elif name in prediction.features:
                yield name, compared(a, there, prediction.features[name], want)
            elif name in self._served:
                yield name, compared(a, there, None, want)
            else:  # not logged: it counts as it should have been, where that is certain
                want = None if not there and want in (None, 0) else want
                yield name, Input(want, "equal" if is_exact(a) else "unchecked")


def _heard(log: SourceLog, shard: int, offset: int) -> dict[int, int]:
    """What the blocks of a shard below an offset hold of each source partition."""
    found: dict[int, int] = {}
    for own, block, part, next_offset in log.heard:
        if own == shard and block < offset:
            found[part] = max(next_offset, found.get(part, 0))
    return found


def _recompute(
    database: duckdb.DuckDBPyConnection, view: StreamViewSpec, asked: Sequence[_Asked]
) -> dict[int, tuple[int | None, tuple[Any, ...]]]:
    """By number: the clock and the features."""
    keys = {
        f"k_{key.name}": pa.array(
            [one.prediction.entities.get(key.name) for one in asked], _ARROW_KEYS[key.dtype]
        )
        for key in view.join_keys
    }
    numbers = pa.array(range(len(asked)), pa.int64())
    as_of = pa.array([one.as_of_ms for one in asked], pa.int64())
    database.register("asked", pa.table({"sid": numbers, "as_of": as_of, **keys}))
    pairs = [(n, part, end) for n, one in enumerate(asked) for part, end in one.prefixes.items()]
    columns = [pa.array([pair[at] for pair in pairs], pa.int64()) for at in range(3)]
    database.register("prefixes", pa.table(columns, names=["sid", "part", "next_offset"]))
    database.execute(audit_sql.CLOCKS)
    clocks = dict(database.execute("SELECT sid, clock FROM clocks").fetchall())
    rows = database.execute(audit_sql.vectors(view)).fetchall()
    return {row[0]: (clocks[row[0]], row[1:]) for row in rows}
