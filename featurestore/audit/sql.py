"""The semantics of windows in SQL, from a log of raw events: the second opinion of the audit.

See ``docs/semantics.md``; nothing is shared with the stream engine but the plan.
"""

from __future__ import annotations

from headrace.schemas.feature_specs import AggregationSpec, ExpectationSpec, SourceSpec, StreamViewSpec
from headrace.schemas.plan import Plan

# {c}: the column where the window holds it; {q}: it in quanta; {u}: quanta in 1.
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
_PERCENTILE = "list_sort(list({c}) FILTER (({c}) IS NOT NULL))[(count({c}) - 1) * {percent} // 100 + 1]"
_LAST_K = "(list({c} ORDER BY event_ms DESC, pos DESC, part DESC) FILTER (({c}) IS NOT NULL))[1:{percent}]"
_LIMIT = "2::DOUBLE ** 47"
_LISTED_BYTES = 64  # of a text in a list


def judged(plan: Plan, source: SourceSpec) -> str:
    """Views ``judged`` and ``accepted`` over a table ``log`` of raw events (`raw_events.py`), and one of the
    accepted events of each view with a udf over what `udfs.py` made: table `derived_of` the view, and
    ``failed``.

    ``judged`` has every record with its ``kind`` and ``clock``, that of its partition behind it.
    """
    views = plan.views_of(source.name)
    keys = sorted({key.name for view in views for key in view.join_keys})
    plain = [view for view in views if view.udf is None]
    refused = [f"{_field(key)} IS NULL" for key in keys]
    refused += sorted({_unheld(a) for view in plain for a in view.aggregations} - {""})
    refused += [_unexpected(expected) for expected in source.expectations if expected.quarantine]
    derived = [view for view in views if view.udf is not None]
    failed = [f"SELECT part, pos FROM {'failed' if derived else 'log WHERE false'}"]
    for view in derived:
        if tests := sorted({_unheld(a) for a in view.aggregations} - {""}):
            failed.append(f"SELECT part, pos FROM {derived_of(view.name)} WHERE {' OR '.join(tests)}")
    running = "OVER (PARTITION BY part ORDER BY pos ROWS BETWEEN UNBOUNDED PRECEDING AND"
    return f"""
        CREATE OR REPLACE TEMP TABLE judged AS
        WITH unfit AS ({" UNION ".join(failed)}),
        kinds AS (
            SELECT log.*, coalesce(mark, event_ms) AS moment,
                CASE WHEN broken OR moment IS NULL OR moment > appended + {source.max_future_ms}
                          OR (mark IS NULL AND coalesce({" OR ".join(refused) or "false"}, false))
                          OR unfit.pos IS NOT NULL THEN 'dead'
                     WHEN mark IS NULL THEN 'event' ELSE 'mark' END AS kind
            FROM log LEFT JOIN unfit ON log.part = unfit.part AND log.pos = unfit.pos)
        SELECT *, max(moment) FILTER (kind <> 'dead') {running} CURRENT ROW) AS clock,
                  max(moment) FILTER (kind <> 'dead') {running} 1 PRECEDING) AS before
        FROM kinds;
        CREATE OR REPLACE TEMP VIEW accepted AS SELECT * FROM judged
        WHERE kind = 'event' AND (before IS NULL OR floor(event_ms / {source.tile_ms})
              >= floor(before / {source.tile_ms}) - {source.late_tiles});
        {"".join(_accepted_of(view) for view in derived)}"""


def derived_of(view: str) -> str:
    """Name of the table of what the udf of a view made."""
    return f"derived_{view.encode().hex()}"


def _accepted_of(view: StreamViewSpec) -> str:
    """The accepted events that its udf keeps, with the columns it derives."""
    assert view.udf is not None
    keys = [key.name for key in view.join_keys]
    fields = [f"accepted.{_field(name)}" for name in keys]
    fields += [f"derived.{_field(column.name)}" for column in view.udf.outputs if column.name not in keys]
    return f"""
        CREATE OR REPLACE TEMP VIEW {_source_of(view)} AS
        SELECT part, pos, event_ms, clock, moment, {", ".join(fields)}
        FROM accepted JOIN {derived_of(view.name)} AS derived USING (part, pos);"""


def _source_of(view: StreamViewSpec) -> str:
    return "accepted" if view.udf is None else f"accepted_{view.name.encode().hex()}"


# ``asked`` has a row per vector to be recomputed (`sid`, join keys `k_NAME`, `as_of`), ``prefixes`` the part
# of the log that each is to be recomputed from.
CLOCKS = """
    CREATE OR REPLACE TEMP TABLE clocks AS
    SELECT asked.sid, max(greatest(ended.clock, asked.as_of)) AS clock
    FROM asked LEFT JOIN (
        SELECT prefixes.sid, judged.clock FROM prefixes ASOF JOIN judged
        ON judged.part = prefixes.part AND prefixes.next_offset > judged.pos) AS ended USING (sid)
    GROUP BY asked.sid"""


def vectors(view: StreamViewSpec) -> str:
    """`sid` and the features in the order of the view."""
    keys = " AND ".join(f"e.{_field(key.name)} = asked.{_key(key.name)}" for key in view.join_keys)
    features = ", ".join(_feature(a) for a in view.aggregations)
    return f"""
        WITH rows AS (
            SELECT asked.sid, clocks.clock AS moment, e.* EXCLUDE (clock, moment)
            FROM asked JOIN clocks USING (sid) LEFT JOIN prefixes USING (sid)
            LEFT JOIN {_source_of(view)} AS e
            ON e.part = prefixes.part AND e.pos < prefixes.next_offset AND {keys})
        SELECT sid, {features} FROM rows GROUP BY sid"""


def _feature(a: AggregationSpec) -> str:
    column = _field(a.column)
    if a.window_ms:
        first = f"floor((moment - {a.window_ms}) / {a.hop_ms}) * {a.hop_ms}"
        column = f"CASE WHEN event_ms >= {first} THEN {column} END"
    latest = a.function.startswith("last_")
    text = _FUNCTIONS.get(a.function, _LAST_K if latest else _PERCENTILE)
    if a.function == "sum" and a.dtype.startswith("Int"):
        text = "sum({q})"
    units = round(1 / a.quantum)
    return text.format(
        c=f"({column})",
        q=f"{_quanta(column, units)}::HUGEINT",
        u=units,
        percent=a.function[5 if latest else 1 :],
    )


def _summed(a: AggregationSpec) -> bool:
    return a.function in ("sum", "mean") or a.function.startswith(("var", "std"))


def _unheld(a: AggregationSpec) -> str:
    """When a record has a value that a feature cannot hold; empty where it holds every one."""
    if _summed(a):
        return f"abs({_quanta(f'{_field(a.column)}::DOUBLE', round(1 / a.quantum))}) >= {_LIMIT}"
    if a.function.startswith("last_") and a.dtype == "Array(String)":
        return f"octet_length(encode({_field(a.column)})) > {_LISTED_BYTES}"
    return ""


def _unexpected(expected: ExpectationSpec) -> str:
    """When a record is refused for what is expected of a field."""
    field = _field(expected.field)
    rules = [] if expected.least is None else [f"{field} < {expected.least!r}"]
    rules += [] if expected.most is None else [f"{field} > {expected.most!r}"]
    if expected.categories:
        known = ", ".join("'" + name.replace("'", "''") + "'" for name in expected.categories)
        rules.append(f"{field}::VARCHAR NOT IN ({known})")
    rules += [f"{field} IS NULL"] if expected.null_share == 0 else []
    return " OR ".join(f"coalesce({rule}, false)" for rule in rules) or "false"


def _quanta(expression: str, units: int) -> str:
    return f"round_even(({expression}) * {units}, 0)"


def _field(name: str) -> str:
    return _quoted(f"f_{name}")


def _key(name: str) -> str:
    return _quoted(f"k_{name}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
