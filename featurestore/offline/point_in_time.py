"""Point-in-time joins in DuckDB: for each asked row the features as of its time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from headrace.featurestore.tables.table_rows import LATEST_FIRST, ROW, TableRows
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
        A table, or files, which are listed again when one has gone meanwhile, as a compaction takes files
        away.
    join_keys
        Column of `rows` by the column of the asked rows that it must equal.
    features
        Column of `rows` by the column that it becomes.
    timestamp
        Column of event times; without a zone they are UTC.
    created
        Column that decides among rows with the same keys and event time: the greatest counts, and of equal
        ones the last row; a null is less than any. None: the last row counts.
    ttl_ms
        A row older than this is not seen; 0: rows are never too old.
    """

    name: str
    rows: TableRows | pa.Table
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
        When a column is missing or cannot be compared, a feature has the name of another column, or files
        cannot be read.

    Examples
    --------
    >>> rows = pa.table({"user": [7, 7], "at": pa.array([10, 20], pa.timestamp("us")), "n": [1, 2]})
    >>> history = History("clicks", rows, {"user": "user"}, {"clicks__n": "n"}, "at", created=None)
    >>> asked = pa.table({"user": [7, 7, 8], "time": pa.array([19, 20, 20], pa.timestamp("us"))})
    >>> join_as_of(asked, "time", [history])["clicks__n"].to_pylist()
    [1, 2, None]
    """
    _check_names(asked, timestamp, histories)
    keys = list(dict.fromkeys(key for history in histories for key in history.join_keys))
    columns = {f"asked_{n}": asked[key] for n, key in enumerate(keys)}
    columns |= {ROW: pa.array(range(len(asked)), pa.int64()), "_time": _utc(asked[timestamp], timestamp)}
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true")
        database.register("asked", pa.table(columns))
        joined = asked
        for history in histories:
            features = _features(database, history, [keys.index(key) for key in history.join_keys])
            for n, name in enumerate(history.features):
                joined = joined.append_column(name, features[f"value_{n}"])
        return joined


def _check_names(asked: pa.Table, timestamp: str, histories: Sequence[History]) -> None:
    needed = [timestamp, *(key for history in histories for key in history.join_keys)]
    for name in needed:
        if name not in asked.column_names:
            raise HeadraceError(
                f"column '{name}' is not among those asked for ({', '.join(asked.column_names)}); add it"
            )
    twice = next((n for n, count in Counter(asked.column_names).items() if count > 1), None)
    if twice is not None:
        raise HeadraceError(f"the entities have column '{twice}' twice; take one out")
    origins = dict.fromkeys(asked.column_names, "the entities")
    for history in histories:
        for name in history.features:
            if name in origins:
                raise HeadraceError(
                    f"column '{name}' would come from {origins[name]} and from view '{history.name}'; "
                    "rename one of them, or ask for full feature names"
                )
            origins[name] = f"view '{history.name}'"


def _features(database: duckdb.DuckDBPyConnection, history: History, keys: Sequence[int]) -> pa.Table:
    """The features of one history, a row for each asked row, in order."""
    for _ in range(_ATTEMPTS):
        failures: list[Exception] = []
        try:
            database.register("given", _reported(_batches(history), history, failures))
            return database.sql(_join_sql(history, keys)).to_arrow_table()
        except FileNotFoundError as error:
            failures = [error]
        except duckdb.Error as error:
            if not failures:
                raise HeadraceError(
                    f"view '{history.name}' cannot be joined: {error}; do the join keys asked for have the "
                    "types of the view's?"
                ) from error
        if not isinstance(failures[0], FileNotFoundError):
            raise failures[0]
    raise HeadraceError(
        f"the rows of view '{history.name}' cannot be read: {failures[0]}; see that its files stay"
    ) from failures[0]


def _batches(history: History) -> pa.RecordBatchReader:
    """The columns of a history by their places: names of others may differ by case alone, or be SQL's."""
    columns = {f"key_{n}": own for n, own in enumerate(history.join_keys.values())}
    columns |= {f"value_{n}": own for n, own in enumerate(history.features.values())}
    columns |= {"moment": history.timestamp} | ({"created": history.created} if history.created else {})
    if isinstance(history.rows, TableRows):
        return history.rows.batches(columns)
    table = pa.table({name: history.rows[column] for name, column in columns.items()})
    return table.append_column(ROW, pa.array(range(len(table)), pa.int64())).to_reader()


def _reported(
    batches: pa.RecordBatchReader, history: History, failures: list[Exception]
) -> pa.RecordBatchReader:
    """The batches with their times checked.

    DuckDB turns an exception on the way into text, so `failures` has it.
    """
    time = batches.schema.field("moment").type
    if not pa.types.is_timestamp(time):
        raise HeadraceError(
            f"view '{history.name}': event times in column '{history.timestamp}' are {time}, not timestamps; "
            "write them as timestamps"
        )

    def checked() -> Iterator[pa.RecordBatch]:
        try:
            for batch in batches:
                if missing := batch.column("moment").null_count:
                    raise HeadraceError(
                        f"view '{history.name}': {missing} rows have no event time in column "
                        f"'{history.timestamp}'; give every row one"
                    )
                yield batch
        except Exception as error:
            failures.append(error)
            raise

    return pa.RecordBatchReader.from_batches(batches.schema, checked())


def _join_sql(history: History, keys: Sequence[int]) -> str:
    """Select the features of a history, whose rows are in `given`, in columns named by `_batches`."""
    own_keys = "".join(f"key_{n}, " for n in range(len(keys)))
    same_keys = "".join(f"asked.asked_{key} = history.key_{n} AND " for n, key in enumerate(keys))
    created = "" if history.created else ", NULL AS created"
    fresh = "true"
    if history.ttl_ms:
        fresh = f"history.moment >= asked._time - INTERVAL {history.ttl_ms} MILLISECONDS"
    results = ", ".join(
        f"CASE WHEN {fresh} THEN history.value_{n} END AS value_{n}" for n in range(len(history.features))
    )
    return f"""
        WITH history AS (
            SELECT * REPLACE (moment::TIMESTAMPTZ AS moment){created} FROM given
            WHERE moment::TIMESTAMPTZ <= (SELECT max(_time) FROM asked)
            QUALIFY row_number() OVER (PARTITION BY {own_keys}moment ORDER BY {LATEST_FIRST}) = 1
        )
        SELECT {results} FROM asked
        ASOF LEFT JOIN history ON {same_keys}asked._time >= history.moment
        ORDER BY asked.{ROW}"""


def _utc(times: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    if not pa.types.is_timestamp(times.type):
        raise HeadraceError(f"column '{name}' is {times.type}, not a timestamp; give it as one, in UTC")
    if times.null_count:
        raise HeadraceError(f"column '{name}': {times.null_count} rows have no time; take them out")
    if times.type.tz is None:
        times = times.cast(pa.timestamp("us"), safe=False)
    return times.cast(_TIME, safe=False)
