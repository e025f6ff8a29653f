"""Vectors of a view, recomputed in a database that has the accepted events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from headrace.featurestore.audit.feature_sql import CLOCKS, vectors
from headrace.featurestore.audit.log_prefixes import ServedVector
from headrace.featurestore.audit.read_views import ReadView
from headrace.schemas.records import Value

_ARROW_KEYS = {"Int32": pa.int64(), "Int64": pa.int64(), "String": pa.string()}


class RecomputedVector(NamedTuple):
    """The features of a view.

    Attributes
    ----------
    clock_ms
        The clock of the row; None: no event of any kind.
    values
        In the order of the view.
    elsewhere
        Whether partitions that the row does not follow from hold events of its key.
    """

    clock_ms: int | None
    values: tuple[Any, ...]
    elsewhere: bool = False


def recompute(
    database: duckdb.DuckDBPyConnection, view: ReadView, served: Sequence[ServedVector]
) -> dict[int, RecomputedVector]:
    """Recompute vectors of a view from their prefixes of the log.

    Parameters
    ----------
    database
        With the tables of `headrace.featurestore.audit.event_sql.accepted_events`.

    Returns
    -------
    dict
        By the number of the vector in `served`.
    """
    database.register("asked", _asked(view, served))
    database.register("prefixes", _prefixes(served))
    database.execute(CLOCKS)
    clocks = dict(database.execute("SELECT sid, clock FROM clocks").fetchall())
    rows = database.execute(vectors(view.spec)).fetchall()
    return {sid: RecomputedVector(clocks[sid], tuple(values), elsewhere) for sid, elsewhere, *values in rows}


def event_counts(database: duckdb.DuckDBPyConnection) -> Counter[str]:
    """Count the records of a source that were applied, late, dead, or time marks, as workers count them."""
    kinds = dict(database.execute("SELECT kind, count(*) FROM judged GROUP BY kind").fetchall())
    (applied,) = database.execute("SELECT count(*) FROM accepted").fetchall()[0]
    late = kinds.get("event", 0) - applied
    return Counter(applied=applied, late=late, dead=kinds.get("dead", 0), marks=kinds.get("mark", 0))


def _asked(view: ReadView, served: Sequence[ServedVector]) -> pa.Table:
    """One row per vector: its number, its as-of time and its join keys."""
    columns = {
        "sid": pa.array(range(len(served)), pa.int64()),
        "as_of": pa.array([vector.as_of_ms for vector in served], pa.int64()),
    }
    for key, field in zip(view.spec.join_keys, view.keys, strict=True):
        kind = _ARROW_KEYS[key.dtype]
        values = [_of_type(vector.prediction.entities.get(field), kind) for vector in served]
        columns[f"k_{key.name}"] = pa.array(values, kind)
    return pa.table(columns)


def _of_type(value: Value, kind: pa.DataType) -> Value:
    """Return a key; None of one that no request brings, in a prediction that `serve` did not write."""
    try:
        return value if pa.scalar(value, kind).as_py() == value else None
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return None


def _prefixes(served: Sequence[ServedVector]) -> pa.Table:
    """One row per vector and partition: how far it is read, and whether it is one of the others."""
    rows = [
        (number, part, end, is_other)
        for number, vector in enumerate(served)
        for is_other, prefixes in ((False, vector.prefixes), (True, vector.others))
        for part, end in prefixes.items()
    ]
    types = {"sid": pa.int64(), "part": pa.int64(), "next_offset": pa.int64(), "other": pa.bool_()}
    columns = [pa.array([row[place] for row in rows], kind) for place, kind in enumerate(types.values())]
    return pa.table(columns, names=list(types))
