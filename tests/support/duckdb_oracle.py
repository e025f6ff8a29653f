"""The second oracle of the stream engine: one SQL query per view, on the log as a table."""

from __future__ import annotations

from typing import Any

import duckdb

from headrace.schemas.feature_specs import AggregationSpec, StreamViewSpec
from headrace.schemas.plan import Plan
from tests.support.window_oracle import OracleEvent

TABLE = (
    "CREATE TABLE log (p INT, o BIGINT, appended BIGINT, broken BOOL, mark BIGINT, "
    'event_ms BIGINT, "user" BIGINT, shop VARCHAR, amount DOUBLE, items BIGINT)'
)
JUDGED = """
CREATE VIEW judged AS SELECT *, coalesce(mark, event_ms) AS moment,
    CASE WHEN broken OR moment IS NULL OR (mark IS NULL AND ("user" IS NULL OR shop IS NULL))
              OR moment > appended + {max_future}
              OR (NOT isnan(amount) AND abs(round_even(amount * 100, 0)) >= 2::DOUBLE ** 47) THEN 'dead'
         WHEN mark IS NULL THEN 'event' ELSE 'mark' END AS kind
FROM log;
CREATE VIEW clocked AS SELECT * REPLACE (if(isnan(amount), NULL, amount) AS amount),
    max(moment) FILTER (kind <> 'dead') OVER (PARTITION BY p ORDER BY o
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before,
    max(moment) FILTER (kind <> 'dead') OVER (PARTITION BY p) AS clock,
    max(moment) FILTER (kind <> 'dead') OVER () AS newest
FROM judged;
CREATE VIEW accepted AS SELECT * FROM clocked
WHERE kind = 'event' AND (before IS NULL OR floor(event_ms / {tile}) >= floor(before / {tile}) - {late});
"""
# {c}: the column, {q}: it in quanta, {u}: quanta in 1.0
SPREAD = "count({c})::HUGEINT * sum({q} * {q}) - sum({q}) * sum({q})"
EXPRESSIONS = {
    "count": "count({c})",
    "sum": "if(abs(sum({q})) < 2::HUGEINT << 52, sum({q})::DOUBLE / {u}, NULL)",
    "mean": "sum({q})::DOUBLE / {u} / count({c})",
    "min": "min({c})",
    "max": "max({c})",
    "first": "first({c} ORDER BY event_ms, o, p)",
    "last": "last({c} ORDER BY event_ms, o, p)",
    "var": f"({SPREAD})::DOUBLE / {{u}} / {{u}} / nullif(count({{c}}) * (count({{c}}) - 1), 0)",
    "var_pop": f"({SPREAD})::DOUBLE / {{u}} / {{u}} / nullif(count({{c}}) * count({{c}}), 0)",
    "std": f"sqrt(({SPREAD})::DOUBLE / {{u}} / {{u}} / nullif(count({{c}}) * (count({{c}}) - 1), 0))",
    "std_pop": f"sqrt(({SPREAD})::DOUBLE / {{u}} / {{u}} / nullif(count({{c}}) * count({{c}}), 0))",
    "count_distinct": "count(DISTINCT {c})",
}
LAST_K = "(list({c} ORDER BY event_ms DESC, o DESC, p DESC) FILTER (({c}) IS NOT NULL))[1:{k}]"
RANKED = "list_sort(list({c}))[(count({c}) - 1) * {percent} // 100 + 1]"


class DuckDbOracle:
    """What SQL says of logs of event-topic partitions."""

    def __init__(self, plan: Plan, partitions: list[list[OracleEvent]]) -> None:
        self._plan, source = plan, plan.sources[0]
        self._db = duckdb.connect()
        self._db.execute(TABLE)
        rows = [_row(p, event) for p, log in enumerate(partitions) for event in log]
        if rows:
            self._db.executemany(f"INSERT INTO log VALUES ({', '.join('?' * 10)})", rows)
        self._db.execute(
            JUDGED.format(max_future=source.max_future_ms, tile=source.tile_ms, late=source.late_tiles)
        )

    def rows(self) -> dict[tuple[str, tuple], dict[str, Any]]:
        return {
            (view.name, row[: len(view.join_keys)]): dict(
                zip((a.feature for a in view.aggregations), row[len(view.join_keys) :], strict=True)
            )
            for view in self._plan.stream_views
            for row in self._db.execute(_query(view, self._plan.is_direct(view))).fetchall()
        }


def _row(partition: int, event: OracleEvent) -> tuple:
    names = ("event_ms", "user", "shop", "amount", "items")
    fields = [(event.fields or {}).get(name) for name in names]
    return (partition, event.offset, event.appended_ms, event.broken, event.mark_ms, *fields)


def _query(view: StreamViewSpec, direct: bool) -> str:
    keys = ", ".join(f'"{key.name}"' for key in view.join_keys)
    features = ", ".join(_feature(a, "clock" if direct else "newest") for a in view.aggregations)
    return f"SELECT {keys}, {features} FROM accepted GROUP BY {keys}"


def _feature(a: AggregationSpec, clock: str) -> str:
    column = a.column
    if a.window_ms:
        first = f"floor(({clock} - {a.window_ms}) / {a.hop_ms}) * {a.hop_ms}"
        column = f"CASE WHEN event_ms >= {first} THEN {a.column} END"
    units = round(1 / a.quantum)
    quanta = f"round_even(({column}) * {units}, 0)::HUGEINT"
    text = EXPRESSIONS.get(a.function, LAST_K if a.function.startswith("last_") else RANKED)
    # FILTER keeps nulls out of first and last.
    for name in ("first", "last"):
        if a.function == name:
            text += " FILTER (({c}) IS NOT NULL)"
    return text.format(c=f"({column})", q=quanta, u=units, percent=a.function[1:], k=a.function[5:])
