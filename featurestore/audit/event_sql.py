"""SQL that decides which events of a raw log are accepted, after ``docs/semantics.md``.

Nothing is shared with the stream engine but the plan: this is the audit's second opinion.
"""

from __future__ import annotations

from collections.abc import Sequence

from headrace.featurestore.sql_text import quoted_name, quoted_text
from headrace.schemas.event_times import EARLIEST_MS, LATEST_MS
from headrace.schemas.feature_specs import AggregationSpec, ExpectationSpec, SourceSpec, StreamViewSpec
from headrace.schemas.plan import Plan

_SUM_LIMIT = "2::DOUBLE ** 47"  # quanta of one value in a sum
_HELD_BYTES = 64  # of a text that is a feature, or in a list


def accepted_events(plan: Plan, source: SourceSpec) -> str:
    """Make the tables of the events of a source, from a table ``log`` of its records.

    ``judged`` holds every record, with its ``kind`` (``event``, ``mark`` or ``dead``), its ``moment`` (event
    time, or time of the mark), and ``clock``, the watermark of its partition behind the record.

    ``accepted`` holds the events that are neither dead nor late; `accepted_table` names that of a view.

    Parameters
    ----------
    source
        Its ``log`` is `headrace.featurestore.audit.raw_events.raw_table`. Where views have udfs, the tables
        ``failed`` and `derived_table` of each are `headrace.featurestore.audit.udfs.derive`.
    """
    views = plan.views_of(source.name)
    derived = [view for view in views if view.udf is not None]
    running = "OVER (PARTITION BY part ORDER BY pos ROWS BETWEEN UNBOUNDED PRECEDING AND"
    return f"""
        CREATE OR REPLACE TEMP TABLE judged AS
        WITH refused_behind_udf AS ({_refused_behind_udf(derived)}),
        kinds AS (
            SELECT log.*, coalesce(mark, event_ms) AS moment,
                CASE WHEN broken OR moment IS NULL OR moment > appended + {source.max_future_ms}
                          OR moment NOT BETWEEN {EARLIEST_MS} AND {LATEST_MS}
                          OR (mark IS NULL AND coalesce({_refused(source, views)}, false))
                          OR refused_behind_udf.pos IS NOT NULL THEN 'dead'
                     WHEN mark IS NULL THEN 'event' ELSE 'mark' END AS kind
            FROM log LEFT JOIN refused_behind_udf
            ON log.part = refused_behind_udf.part AND log.pos = refused_behind_udf.pos)
        SELECT *, max(moment) FILTER (kind <> 'dead') {running} CURRENT ROW) AS clock,
                  max(moment) FILTER (kind <> 'dead') {running} 1 PRECEDING) AS before
        FROM kinds;
        CREATE OR REPLACE TEMP VIEW accepted AS SELECT * FROM judged
        WHERE kind = 'event' AND (before IS NULL OR floor(event_ms / {source.tile_ms})
              >= floor(before / {source.tile_ms}) - {source.late_tiles});
        {"".join(_accepted_behind_udf(view) for view in derived)}"""


def accepted_table(view: StreamViewSpec) -> str:
    """Name the table of the accepted events of a view: behind a udf those it keeps, with derived columns."""
    return "accepted" if view.udf is None else f"accepted_{view.name.encode().hex()}"


def derived_table(view: str) -> str:
    """Name the table of the rows that the udf of a view returns."""
    return f"derived_{view.encode().hex()}"


def field_column(name: str) -> str:
    """Name the column of a field of the events, quoted.

    >>> field_column("amount")
    '"f_amount"'
    """
    return quoted_name(f"f_{name}")


def in_quanta(expression: str, quantum: float) -> str:
    """Express a number in whole quanta, half of one to the even side.

    >>> in_quanta("f_price", 0.01)
    'round_even((f_price) * 100, 0)'
    """
    return f"round_even(({expression}) * {units(quantum)}, 0)"


def units(quantum: float) -> int:
    """How many quanta are in 1."""
    return round(1 / quantum)


def _refused(source: SourceSpec, views: Sequence[StreamViewSpec]) -> str:
    """The condition of a record that no view takes: for its keys, values or expectations."""
    keys = sorted({key.name for view in views for key in view.join_keys})
    conditions = [f"{field_column(key)} IS NULL" for key in keys]
    conditions += _overflows([view for view in views if view.udf is None])
    conditions += [_unexpected(expected) for expected in source.expectations if expected.quarantine]
    return " OR ".join(conditions) or "false"


def _refused_behind_udf(derived: Sequence[StreamViewSpec]) -> str:
    """Records that a udf fails on, or of which it derives a value that a feature cannot hold."""
    selects = [f"SELECT part, pos FROM {'failed' if derived else 'log WHERE false'}"]
    for view in derived:
        if conditions := _overflows([view]):
            selects.append(
                f"SELECT part, pos FROM {derived_table(view.name)} WHERE {' OR '.join(conditions)}"
            )
    return " UNION ".join(selects)


def _accepted_behind_udf(view: StreamViewSpec) -> str:
    assert view.udf is not None
    keys = [key.name for key in view.join_keys]
    fields = [f"accepted.{field_column(name)}" for name in keys]
    fields += [f"derived.{field_column(c.name)}" for c in view.udf.outputs if c.name not in keys]
    return f"""
        CREATE OR REPLACE TEMP VIEW {accepted_table(view)} AS
        SELECT part, pos, event_ms, clock, moment, {", ".join(fields)}
        FROM accepted JOIN {derived_table(view.name)} AS derived USING (part, pos);"""


def _overflows(views: Sequence[StreamViewSpec]) -> list[str]:
    """Conditions of a record with a value that a feature of these views cannot hold."""
    return sorted({_overflow(aggregation) for view in views for aggregation in view.aggregations} - {""})


def _overflow(a: AggregationSpec) -> str:
    """Empty where the feature holds every value."""
    if a.function in ("sum", "mean") or a.function.startswith(("var", "std")):
        return f"abs({in_quanta(f'{field_column(a.column)}::DOUBLE', a.quantum)}) >= {_SUM_LIMIT}"
    if a.function.startswith(("first", "last")) and a.dtype in ("String", "Array(String)"):
        return f"octet_length(encode({field_column(a.column)})) > {_HELD_BYTES}"
    return ""


def _unexpected(expected: ExpectationSpec) -> str:
    """The condition of a record that is refused for what is expected of a field."""
    field = field_column(expected.field)
    conditions = [] if expected.least is None else [f"{field} < {expected.least!r}"]
    conditions += [] if expected.most is None else [f"{field} > {expected.most!r}"]
    if expected.categories:
        conditions.append(f"{field}::VARCHAR NOT IN ({', '.join(map(quoted_text, expected.categories))})")
    conditions += [f"{field} IS NULL"] if expected.null_share == 0 else []
    return " OR ".join(f"coalesce({condition}, false)" for condition in conditions) or "false"
