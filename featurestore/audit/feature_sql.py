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

# ``asked`` has a row per vector (`sid`, join keys `k_NAME`, `as_of`), ``prefixes`` the prefix of the log that
# each is recomputed from (`sid`, `part`, `next_offset`).
CLOCKS = """
    CREATE OR REPLACE TEMP TABLE clocks AS
    SELECT asked.sid, max(greatest(ended.clock, asked.as_of)) AS clock
    FROM asked LEFT JOIN (
        SELECT prefixes.sid, judged.clock FROM prefixes ASOF JOIN judged
        ON judged.part = prefixes.part AND prefixes.next_offset > judged.pos) AS ended USING (sid)
    GROUP BY asked.sid"""


def vectors(view: StreamViewSpec) -> str:
    """Select `sid` and the features in the order of the view."""
    keys = " AND ".join(f"e.{field_column(k.name)} = asked.{_key_column(k.name)}" for k in view.join_keys)
    features = ", ".join(feature_expression(aggregation) for aggregation in view.aggregations)
    return f"""
        WITH rows AS (
            SELECT asked.sid, clocks.clock AS moment, e.* EXCLUDE (clock, moment)
            FROM asked JOIN clocks USING (sid) LEFT JOIN prefixes USING (sid)
            LEFT JOIN {accepted_table(view)} AS e
            ON e.part = prefixes.part AND e.pos < prefixes.next_offset AND {keys})
        SELECT sid, {features} FROM rows GROUP BY sid"""


def feature_expression(aggregation: AggregationSpec) -> str:
    """Aggregate a column over the events of the window that ends at ``moment``.

    Examples
    --------
    >>> print(feature_expression(AggregationSpec(
    ...     feature="n", function="count", column="x", window_ms=3_600_000, hop_ms=300_000, dtype="Int64"
    ... )))
    count((CASE WHEN event_ms >= floor((moment - 3600000) / 300000) * 300000 THEN "f_x" END))
    >>> print(feature_expression(AggregationSpec(
    ...     feature="m", function="max", column="x", window_ms=0, hop_ms=0, dtype="Int64"
    ... )))
    max(("f_x"))
    """
    column = field_column(aggregation.column)
    if aggregation.window_ms:
        hop_ms = aggregation.hop_ms
        start = f"floor((moment - {aggregation.window_ms}) / {hop_ms}) * {hop_ms}"
        column = f"CASE WHEN event_ms >= {start} THEN {column} END"
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
