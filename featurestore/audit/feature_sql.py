"""SQL that recomputes features of accepted events, after ``docs/semantics.md``: windows and aggregations."""

from __future__ import annotations

from headrace.featurestore.audit.event_sql import accepted_table, field_column, in_quanta, units
from headrace.featurestore.sql_text import quoted_name
from headrace.schemas.feature_specs import AggregationSpec, StreamViewSpec

# {c}: the column where the window holds it; {q}: it in quanta; {u}: quanta in 1; {n}: the number in the name
# of the function.
_SPREAD = "count({c})::HUGEINT * sum({q} * {q}) - sum({q}) * sum({q})"
_VARIANCE = f"({_SPREAD})::DOUBLE / {{u}} / {{u}} / nullif(count({{c}}) * (count({{c}}) - {{d}}), 0)"
_FUNCTIONS = {
    "count": "count({c})",
    "sum": "sum({q})::DOUBLE / {u}",
    "mean": "sum({q})::DOUBLE / {u} / count({c})",
    "min": "min({c})",
    "max": "max({c})",
    "first": "first({c} ORDER BY event_ms, pos, part) FILTER (({c}) IS NOT NULL)",
    "last": "last({c} ORDER BY event_ms, pos, part) FILTER (({c}) IS NOT NULL)",
    "var": _VARIANCE.replace("{d}", "1"),
    "var_pop": _VARIANCE.replace("{d}", "0"),
    "std": f"sqrt({_VARIANCE.replace('{d}', '1')})",
    "std_pop": f"sqrt({_VARIANCE.replace('{d}', '0')})",
    "count_distinct": "count(DISTINCT {c})",
}
_PERCENTILE = "list_sort(list({c}) FILTER (({c}) IS NOT NULL))[(count({c}) - 1) * {n} // 100 + 1]"
_LAST_K = "(list({c} ORDER BY event_ms DESC, pos DESC, part DESC) FILTER (({c}) IS NOT NULL))[1:{n}]"
_WHOLE_SUM = "sum({q})"

# ``asked`` has a row per vector (`sid`, join keys `k_NAME`, `as_of`), ``prefixes`` the prefixes of the log
# that each is recomputed from (`sid`, `part`, `next_offset`, and whether it is of another partition than the
# row follows from: `other`).
CLOCKS = """
    CREATE OR REPLACE TEMP TABLE ended AS
    SELECT prefixes.sid, prefixes.part, prefixes.other, judged.clock
    FROM prefixes ASOF JOIN judged ON judged.part = prefixes.part AND prefixes.next_offset > judged.pos;
    CREATE OR REPLACE TEMP TABLE clocks AS
    SELECT asked.sid, max(greatest(own.clock, asked.as_of)) AS clock
    FROM asked LEFT JOIN (SELECT sid, clock FROM ended WHERE NOT other) AS own USING (sid)
    GROUP BY asked.sid"""


def vectors(view: StreamViewSpec) -> str:
    """Select `sid`, whether other partitions hold events of the key, and the features in the view's order.

    An event of another partition that is in a window at the clock of the row belongs into the value. The
    window then ends at the greatest clock of the partitions that have such events.
    """
    keys = " AND ".join(f"e.{field_column(k.name)} = asked.{_key_column(k.name)}" for k in view.join_keys)
    features = ", ".join(feature_expression(aggregation) for aggregation in view.aggregations)
    windows = sorted({(a.window_ms, a.hop_ms) for a in view.aggregations})
    inside = " OR ".join(_is_in_window("moment", *window) for window in windows)
    ends = "".join(f", {_window_end(*window)} AS {_end_column(*window)}" for window in windows if window[0])
    return f"""
        WITH rows AS (
            SELECT asked.sid, clocks.clock AS moment, prefixes.other, ended.clock AS other_clock,
                   e.* EXCLUDE (clock, moment)
            FROM asked JOIN clocks USING (sid) LEFT JOIN prefixes USING (sid)
            LEFT JOIN ended ON ended.sid = prefixes.sid AND ended.part = prefixes.part AND prefixes.other
            LEFT JOIN {accepted_table(view)} AS e
            ON e.part = prefixes.part AND e.pos < prefixes.next_offset AND {keys}),
        ends AS (SELECT *{ends} FROM rows)
        SELECT sid, coalesce(bool_or(other AND ({inside})), false), {features} FROM ends GROUP BY sid"""


def _window_start(end: str, window_ms: int, hop_ms: int) -> str:
    return f"floor(({end} - {window_ms}) / {hop_ms}) * {hop_ms}"


def _is_in_window(end: str, window_ms: int, hop_ms: int) -> str:
    return f"event_ms >= {_window_start(end, window_ms, hop_ms)}" if window_ms else "event_ms IS NOT NULL"


def _window_end(window_ms: int, hop_ms: int) -> str:
    """The clock of a window: that of the row, or a later one of another partition with an event in it."""
    inside = _is_in_window("moment", window_ms, hop_ms)
    others = f"max(CASE WHEN other AND {inside} THEN other_clock END) OVER (PARTITION BY sid)"
    return f"greatest(moment, {others})"


def _end_column(window_ms: int, hop_ms: int) -> str:
    return f"end_{window_ms}_{hop_ms}"


def feature_expression(aggregation: AggregationSpec) -> str:
    """Aggregate a column over the events of its window, whose end is in the column ``end_WINDOW_HOP``.

    Examples
    --------
    >>> print(feature_expression(AggregationSpec(
    ...     feature="n", function="count", column="x", window_ms=3_600_000, hop_ms=300_000, dtype="Int64"
    ... )))
    count((CASE WHEN event_ms >= floor((end_3600000_300000 - 3600000) / 300000) * 300000 THEN "f_x" END))
    >>> print(feature_expression(AggregationSpec(
    ...     feature="m", function="max", column="x", window_ms=0, hop_ms=0, dtype="Int64"
    ... )))
    max(("f_x"))
    """
    column = field_column(aggregation.column)
    if aggregation.window_ms:
        window = aggregation.window_ms, aggregation.hop_ms
        column = f"CASE WHEN {_is_in_window(_end_column(*window), *window)} THEN {column} END"
    function, number = _template(aggregation)
    return function.format(
        c=f"({column})",
        q=f"{in_quanta(column, aggregation.quantum)}::HUGEINT",
        u=units(aggregation.quantum),
        n=number,
    )


def _template(aggregation: AggregationSpec) -> tuple[str, str]:
    """The expression of a function, and the number in its name."""
    name = aggregation.function
    if name == "sum" and aggregation.dtype.startswith("Int"):
        return _WHOLE_SUM, ""
    if name in _FUNCTIONS:
        return _FUNCTIONS[name], ""
    if name.startswith("last_"):
        return _LAST_K, name.removeprefix("last_")
    return _PERCENTILE, name.removeprefix("p")


def _key_column(name: str) -> str:
    return quoted_name(f"k_{name}")
