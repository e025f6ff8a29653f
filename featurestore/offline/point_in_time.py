"""Point-in-time joins in DuckDB: for each asked row the features as of its time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from headrace.featurestore.sql_text import quoted_name, quoted_text
from headrace.schemas.errors import HeadraceError

_TIME = pa.timestamp("us", tz="UTC")
_ATTEMPTS = 5  # a compaction may take away a file that has just been listed


@dataclass(frozen=True)
class History:
    """The rows of a view over time.

    Attributes
    ----------
    name
        Of the view, for errors.
    rows
        A table, or a function that lists Parquet files. It is called again when a file has gone that it
        listed, as a compaction takes files away.
    join_keys
        Column of `rows` by the column of the asked rows that it must equal.
    features
        Column of `rows` by the column that it becomes.
    timestamp
        Column of event times; without a zone they are UTC.
    created
        Column that decides among rows with the same keys and event time: the greatest counts. None: any.
    ttl_ms
        A row older than this is not seen; 0: rows are never too old.
    """

    name: str
    rows: Callable[[], Sequence[Path]] | pa.Table
    join_keys: Mapping[str, str]
    features: Mapping[str, str]
    timestamp: str = "event_timestamp"
    created: str | None = "created"
    ttl_ms: int = 0


def join_as_of(asked: pa.Table, timestamp: str, histories: Sequence[History]) -> pa.Table:
    """Append features to the asked rows, as of their times.

    A row gets of each history the latest row of its keys at or before its time, and nulls where there is
    none, or none that is young enough.

    Parameters
    ----------
    asked
        Entities with times, shape (n,). Other columns are passed on.
    timestamp
        Column of `asked` with the times; without a zone they are UTC.
    histories
        The histories that are joined.

    Returns
    -------
    pyarrow.Table
        Shape (n,): the columns of `asked` in their order, then the features.

    Raises
    ------
    HeadraceError
        When a column is missing or cannot be compared, or files cannot be read.

    Examples
    --------
    >>> rows = pa.table({"user": [7, 7], "at": pa.array([10, 20], pa.timestamp("us")), "n": [1, 2]})
    >>> history = History("clicks", rows, {"user": "user"}, {"clicks__n": "n"}, "at", created=None)
    >>> asked = pa.table({"user": [7, 7, 8], "time": pa.array([19, 20, 20], pa.timestamp("us"))})
    >>> join_as_of(asked, "time", [history])["clicks__n"].to_pylist()
    [1, 2, None]
    """
    keys = list(dict.fromkeys(key for history in histories for key in history.join_keys))
    for name in [timestamp, *keys]:
        if name not in asked.column_names:
            raise HeadraceError(
                f"column '{name}' is not among those asked for ({', '.join(asked.column_names)}); add it"
            )
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true")
        columns = {
            "_row": pa.array(range(len(asked)), pa.int64()),
            "_time": _utc(asked[timestamp], timestamp),
        }
        database.register("asked", pa.table({**columns, **{key: asked[key] for key in keys}}))
        joined = asked
        for history in histories:
            features = _features(database, history)
            for name in history.features:
                joined = joined.append_column(name, features[name])
        return joined


def _features(database: duckdb.DuckDBPyConnection, history: History) -> pa.Table:
    """The features of one history, a row for each asked row, in order."""
    if isinstance(history.rows, pa.Table):
        database.register("given", history.rows)
        return _run(database, history, _join_sql(history, "given"))
    attempts = 0
    while True:
        try:
            return _run(database, history, _join_sql(history, _parquet_sql(history.rows())))
        except duckdb.IOException as error:
            attempts += 1
            if attempts == _ATTEMPTS:
                raise HeadraceError(
                    f"the rows of view '{history.name}' cannot be read: {error}; see that its files stay"
                ) from error


def _run(database: duckdb.DuckDBPyConnection, history: History, query: str) -> pa.Table:
    try:
        return database.sql(query).to_arrow_table()
    except duckdb.IOException:
        raise
    except duckdb.Error as error:
        raise HeadraceError(
            f"view '{history.name}' cannot be joined: {error}; do the join keys asked for have the types "
            "of the view's?"
        ) from error


def _join_sql(history: History, rows: str) -> str:
    """Select the features of a history, whose rows are this table of SQL."""
    keys = [(quoted_name(asked), quoted_name(own)) for asked, own in history.join_keys.items()]
    features = [(quoted_name(output), quoted_name(own)) for output, own in history.features.items()]
    own_keys = ", ".join(own for _, own in keys)
    key_columns = ", ".join(f"{own} AS key_{n}" for n, (_, own) in enumerate(keys))
    value_columns = ", ".join(f"{own} AS value_{n}" for n, (_, own) in enumerate(features))
    same_keys = " AND ".join(f"asked.{asked} = history.key_{n}" for n, (asked, _) in enumerate(keys))
    time = f"{quoted_name(history.timestamp)}::TIMESTAMPTZ"
    latest = f"ORDER BY {quoted_name(history.created)} DESC" if history.created else ""
    fresh = "true"
    if history.ttl_ms:
        fresh = f"history.moment >= asked._time - INTERVAL {history.ttl_ms} MILLISECONDS"
    results = ", ".join(
        f"CASE WHEN {fresh} THEN history.value_{n} END AS {output}" for n, (output, _) in enumerate(features)
    )
    return f"""
        WITH history AS (
            SELECT {key_columns}, {time} AS moment, {value_columns} FROM {rows}
            WHERE {time} <= (SELECT max(_time) FROM asked)
            QUALIFY row_number() OVER (PARTITION BY {own_keys}, {time} {latest}) = 1
        )
        SELECT {results} FROM asked
        ASOF LEFT JOIN history ON {same_keys} AND asked._time >= history.moment
        ORDER BY asked._row"""


def _parquet_sql(files: Sequence[Path]) -> str:
    names = ", ".join(quoted_text(str(file)) for file in files)
    return f"read_parquet([{names}], union_by_name = true, hive_partitioning = false)"


def _utc(times: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    if not pa.types.is_timestamp(times.type):
        raise HeadraceError(f"column '{name}' is {times.type}, not a timestamp; give it as one, in UTC")
    if times.null_count:
        raise HeadraceError(f"column '{name}': {times.null_count} rows have no time; take them out")
    if times.type.tz is None:
        times = times.cast(pa.timestamp("us"), safe=False)
    return times.cast(_TIME, safe=False)
