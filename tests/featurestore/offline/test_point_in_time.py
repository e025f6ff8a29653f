"""Point-in-time joins: each asked row gets what was known at its time, no more and no less."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.offline.point_in_time import History, join_as_of
from headrace.featurestore.tables.table_rows import TableRows
from headrace.schemas.errors import HeadraceError
from tests.support.properties import tries

MOMENT = pa.timestamp("us")
TTL_MS = 2


def table(rows: list[dict[str, Any]]) -> pa.Table:
    types = {"user": pa.int64(), "time": MOMENT, "created": pa.int64(), "value": pa.int64()}
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in types.items()})


def asked(*rows: tuple[int, int]) -> pa.Table:
    users, times = zip(*rows, strict=True)
    return pa.table({"user": pa.array(users, pa.int64()), "time": pa.array(times, MOMENT)})


def history(rows: Any, **changes: Any) -> History:
    fields = {"timestamp": "time", "created": "created", **changes}
    return History("clicks", rows, {"user": "user"}, {"clicks__value": "value"}, **fields)


row = st.fixed_dictionaries(
    {name: st.integers(0, most) for name, most in [("user", 2), ("time", 9), ("value", 99)]}
    | {"created": st.none() | st.integers(0, 3)}
)


def rank(row: dict[str, Any]) -> tuple[int, bool, int]:
    """The later of two rows has the greater rank; of equal ones the later in the table."""
    return row["time"], row["created"] is not None, row["created"] or 0


@tries(40)
@given(
    rows=st.lists(row, max_size=12),
    questions=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1, max_size=6),
    ttl_ms=st.sampled_from([0, TTL_MS]),
)
def test_a_row_gets_the_latest_value_at_or_before_its_time_that_is_young_enough(rows, questions, ttl_ms):
    found = join_as_of(asked(*questions), "time", [history(table(rows), ttl_ms=ttl_ms)])
    expected = []
    for user, time in questions:
        known = [row for row in rows if row["user"] == user and row["time"] <= time]
        latest = max(reversed(known), key=rank, default=None)
        is_young = latest is not None and (not ttl_ms or latest["time"] >= time - 1000 * ttl_ms)
        expected.append(latest["value"] if latest is not None and is_young else None)
    assert found["clicks__value"].to_pylist() == expected
    assert found["user"].to_pylist() == [user for user, _ in questions]


ROWS = [{"user": 1, "time": 10, "created": 0, "value": 5}]


def test_names_with_quotation_marks_are_names() -> None:
    rows = table(ROWS).rename_columns(['us"er', "ti'me", "created", 'val "x"'])
    odd = History("v", rows, {"user": 'us"er'}, {'out "y"': 'val "x"'}, timestamp="ti'me")
    assert join_as_of(asked((1, 10)), "time", [odd])['out "y"'].to_pylist() == [5]


def test_files_that_a_compaction_takes_away_are_listed_again(tmp_path: Path) -> None:
    merged, listings = tmp_path / "it's merged.parquet", []
    pq.write_table(table(ROWS), merged)

    def files() -> list[Path]:
        listings.append([tmp_path / "gone.parquet"] if len(listings) < 2 else [merged])
        return listings[-1]

    rows = TableRows("clicks", files, tmp_path)
    assert join_as_of(asked((1, 10)), "time", [history(rows)])["clicks__value"].to_pylist() == [5]
    assert len(listings) == 3


def test_files_that_stay_away_are_told_with_their_view(tmp_path: Path) -> None:
    gone = TableRows("clicks", lambda: [tmp_path / "gone.parquet"], tmp_path)
    with pytest.raises(HeadraceError, match=r"the rows of view 'clicks' cannot be read: .*gone.parquet"):
        join_as_of(asked((1, 10)), "time", [history(gone)])


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (asked((1, 10)).rename_columns(["customer", "time"]), r"column 'user' .* \(customer, time\); add it"),
        (pa.table({"user": [1], "time": ["2013"]}), "column 'time' is string, not a timestamp"),
        (
            asked((1, 10)).append_column("user", pa.array([1])),
            "the entities have column 'user' twice; take one out",
        ),
        (
            pa.table({"user": [1, 2], "time": pa.array([None, 1], MOMENT)}),
            "column 'time': 1 rows have no time; take them out",
        ),
        (
            pa.table({"user": ["a"], "time": pa.array([10], MOMENT)}),
            "(?s)'clicks' cannot be joined: .* have the types",
        ),
    ],
)
def test_what_cannot_be_joined_is_refused(question: pa.Table, said: str) -> None:
    with pytest.raises(HeadraceError, match=said):
        join_as_of(question, "time", [history(table(ROWS))])


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        (["user", "y"], "column 'user' would come from the entities and from view 'clicks'; rename"),
        (["y", "y"], "column 'y' would come from view 'a__b' and from view 'clicks'; rename"),
    ],
)
def test_two_columns_of_one_name_are_refused(outputs: list[str], said: str) -> None:
    histories = [
        replace(history(table(ROWS)), name=name, features={output: "value"})
        for name, output in zip(("a__b", "clicks"), outputs[::-1], strict=True)
    ]
    with pytest.raises(HeadraceError, match=said):
        join_as_of(asked((1, 10)), "time", histories)


def test_names_that_differ_by_case_alone_are_different() -> None:
    rows = pa.table(
        {"ID": [1, 1], "id": [7, 8], "X": [10, 20], "x": [30, 40], "Time": pa.array([10, 5], MOMENT)}
    )
    both = History("v", rows, {"user": "ID"}, {"X": "X", "x": "x", "id": "id"}, "Time", created=None)
    joined = join_as_of(asked((1, 10)), "time", [both])
    assert joined.select(["X", "x", "id"]).to_pylist() == [{"X": 10, "x": 30, "id": 7}]


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (pa.array(["2013-01-01"]), "event times in column 'time' are string, not timestamps"),
        (pa.array([10]), "event times in column 'time' are int64, not timestamps"),
        (pa.array([None], MOMENT), "'clicks': 1 rows have no event time in column 'time'; give every row"),
    ],
)
def test_event_times_that_are_none_are_refused(times: pa.Array, said: str) -> None:
    rows = table(ROWS).drop_columns("time").append_column("time", times)
    with pytest.raises(HeadraceError, match=said):
        join_as_of(asked((1, 10)), "time", [history(rows)])
