"""Point-in-time joins in DuckDB: for each row the features as they were known at its time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from headrace.featurestore.sql_text import quoted_name, quoted_text
from headrace.schemas.errors import HeadraceError

_TIME = pa.timestamp("us", tz="UTC")
_RETRIES = 5  # a compaction may take away a file that has just been listed


@dataclass(frozen=True)
class History:
    """The rows of a view over time.

    Attributes
    ----------
    name
        Of the view, for errors.
    rows
        Parquet files, a folder of them, or a table.
    join_keys
        Column of `rows` by the column of the asked rows it must equal.
    features
        Column of `rows` by the column it becomes.
    timestamp
        Column of event times; without a zone they are UTC.
    created
        Of rows with the same keys and event time the one counts where this is greatest; None: any.
    ttl_ms
        A row older than this is not seen; 0: never too old.
    """

    name: str
    rows: Sequence[Path] | Path | pa.Table
    join_keys: Mapping[str, str]
    features: Mapping[str, str]
    timestamp: str = "event_timestamp"
    created: str | None = "created"
    ttl_ms: int = 0


def join_as_of(asked: pa.Table, timestamp: str, histories: Sequence[History]) -> pa.Table:
    """Columns of `asked`, then the features, one row for each asked one, in order.

    A row sees of each history the latest row of its keys at or before its time, and nulls where there is
    none, or none that is young enough.

    Parameters
    ----------
    asked
        Entities with times, shape (n,); columns more than the join keys are passed on.
    timestamp
        Column of `asked` with the times, of which those without a zone are UTC.
    histories
        What is to be joined.

    Raises
    ------
    HeadraceError
        When a column is missing or cannot be compared, or files cannot be read.
    """
    needed = [timestamp, *(key for history in histories for key in history.join_keys)]
    for name in needed:
        if name not in asked.column_names:
            raise HeadraceError(
                f"column '{name}' is not among those asked for ({', '.join(asked.column_names)}); add it"
            )
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true")
    keys = list(dict.fromkeys(needed[1:]))
    columns = {"_row": pa.array(range(len(asked)), pa.int64()), "_time": _utc(asked[timestamp], timestamp)}
    database.register("asked", pa.table({**columns, **{key: asked[key] for key in keys}}))
    joined = asked
    for history in histories:
        found = _features(database, history)
        for name in history.features:
            joined = joined.append_column(name, found[name])
    return joined


def _features(database: duckdb.DuckDBPyConnection, history: History) -> pa.Table:
    for attempt in range(_RETRIES):
        try:
            return database.sql(_query(database, history)).to_arrow_table()
        except duckdb.IOException as error:
            if attempt == _RETRIES - 1:
                raise HeadraceError(f"the rows of view '{history.name}' cannot be read: {error}") from error
        except duckdb.Error as error:
            raise HeadraceError(
                f"view '{history.name}' cannot be joined: {error}; do the join keys asked for have the types "
                "of the view's?"
            ) from error
    raise AssertionError("unreachable")


def _query(database: duckdb.DuckDBPyConnection, history: History) -> str:
    keys = [(quoted_name(asked), quoted_name(own)) for asked, own in history.join_keys.items()]
    names = [(quoted_name(name), quoted_name(own)) for name, own in history.features.items()]
    own_keys = ", ".join(own for _, own in keys)
    selected = ", ".join([*(f"{own} AS key_{n}" for n, (_, own) in enumerate(keys))])
    values = ", ".join(f"{own} AS value_{n}" for n, (_, own) in enumerate(names))
    equal = " AND ".join(f"asked.{name} = history.key_{n}" for n, (name, _) in enumerate(keys))
    time = f"{quoted_name(history.timestamp)}::TIMESTAMPTZ"
    latest = f"ORDER BY {quoted_name(history.created)} DESC" if history.created else ""
    fresh = "true"
    if history.ttl_ms:
        fresh = f"history.moment >= asked._time - INTERVAL {history.ttl_ms} MILLISECONDS"
    results = ", ".join(
        f"CASE WHEN {fresh} THEN history.value_{n} END AS {name}" for n, (name, _) in enumerate(names)
    )
    return f"""
        WITH history AS (
            SELECT {selected}, {time} AS moment, {values} FROM {_table(database, history)}
            WHERE {time} <= (SELECT max(_time) FROM asked)
            QUALIFY row_number() OVER (PARTITION BY {own_keys}, {time} {latest}) = 1
        )
        SELECT {results} FROM asked ASOF LEFT JOIN history ON {equal} AND asked._time >= history.moment
        ORDER BY asked._row"""


def _table(database: duckdb.DuckDBPyConnection, history: History) -> str:
    if isinstance(history.rows, pa.Table):
        database.register("given", history.rows)
        return "given"
    files = history.rows
    if isinstance(files, Path):
        files = sorted(files.rglob("*.parquet")) if files.is_dir() else [files]
    if not files:
        raise HeadraceError(f"view '{history.name}' has no rows: there is no Parquet file in {history.rows}")
    listed = ", ".join(quoted_text(str(file)) for file in files)
    return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"


def _utc(times: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    if not pa.types.is_timestamp(times.type):
        raise HeadraceError(f"column '{name}' is {times.type}, not a timestamp; give it as one, in UTC")
    if times.null_count:
        raise HeadraceError(f"column '{name}': {times.null_count} rows have no time; take them out")
    if times.type.tz is None:
        times = times.cast(pa.timestamp("us"), safe=False)
    return times.cast(_TIME, safe=False)
