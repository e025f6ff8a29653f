"""The latest row of every key of a table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import duckdb
import pyarrow as pa

from headrace.featurestore.tables.table_rows import LATEST_FIRST, ROW

MOMENT = "_moment"
"""Column of event times, in UTC."""


def latest_rows(
    table: pa.Table,
    keys: Sequence[str],
    created: str | None,
    between: tuple[datetime | None, datetime | None],
) -> pa.Table:
    """Keep the latest row of every key, in the order of the table.

    Parameters
    ----------
    table
        Rows with the columns `MOMENT` and `ROW`.
    keys
        Columns of the key; nulls are a key like others. None: all rows are of one key.
    created
        Column that decides among rows with one key and event time; None: there is none.
    between
        The first and the last event time of rows that count; None is no bound.

    Examples
    --------
    >>> from datetime import UTC
    >>> rows = {"user": ["a", "b", "a", "a"], "n": [1, 2, 3, 4], ROW: [0, 1, 2, 3]}
    >>> times = pa.array([7, 5, 7, 6], pa.timestamp("us", "UTC"))
    >>> latest_rows(pa.table(rows | {MOMENT: times}), ["user"], None, (None, None))["n"].to_pylist()
    [2, 3]
    """
    columns = {f"key_{n}": table[key] for n, key in enumerate(keys)} | {"moment": table[MOMENT]}
    columns |= {"created": table[created]} if created else {}
    partition = ", ".join(["true", *(f"key_{n}" for n in range(len(keys)))])
    no_created = "" if created else ", NULL AS created"
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.register("given", pa.table(columns | {ROW: table[ROW]}))
        kept = database.sql(
            f"""
            SELECT {ROW} FROM (SELECT *{no_created} FROM given)
            WHERE moment >= coalesce(?, '-infinity'::TIMESTAMPTZ)
            AND moment <= coalesce(?, 'infinity'::TIMESTAMPTZ)
            QUALIFY row_number() OVER (PARTITION BY {partition} ORDER BY moment DESC, {LATEST_FIRST}) = 1
            ORDER BY {ROW}""",
            params=list(between),
        ).to_arrow_table()
    return table.take(kept[ROW])
