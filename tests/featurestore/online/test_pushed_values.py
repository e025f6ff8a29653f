"""Values of pushed rows: as `materialize` would write them, or refused by row."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from headrace.featurestore.batch.arrow_columns import read_column
from headrace.featurestore.online.pushed_values import Misfit, read_event_times, read_values, shown
from headrace.featurestore.redis_codec.byte_columns import split_rows
from headrace.featurestore.redis_codec.column_values import encode_values
from tests.support.feature_values import TYPES

T = datetime(1969, 12, 31, 23, 59, 58, 700_000, tzinfo=UTC)
U = UUID("12345678-1234-5678-1234-567812345678")
itself: list[Any] = []
itself.append(itself)
deep: Any = 1
for _ in range(3000):
    deep = [deep]


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


ABSURD: list[Any] = [
    10**400, 10**5000, -(2**63) - 1, 1e308, -0.0, math.inf, math.nan, 1 + 2j, True, "", "\ud800", "\0", "NaN",
    b"", b"\xff", bytearray(b"a"), memoryview(b"a"), object(), Broken(), int, lambda: 1, {}, {1: 2},
    {"a": {1}}, {"\ud800": 1}, [], [[]], [None], ["\ud800"], [10**400], [math.nan], itself, deep, (), set(),
    {1},     frozenset("a"), {b"a"}, iter([1]), range(3), datetime.min, datetime.max, date.max, timedelta(1),
    Decimal("1e999999"),
    Decimal("sNaN"), Decimal("Infinity"), U, np.int8(1), np.float32(1e38), np.float64(math.nan),
    np.bool_(True), np.datetime64("NaT"), np.datetime64("-290000-01-01"), np.datetime64(2**62, "s"),
    np.timedelta64(1, "s"),
    np.str_("a"), np.bytes_(b"a"), np.void(b"a"), np.zeros((2, 2)), np.zeros(0), np.array(5),
    np.array(["a"], object), np.array([T.replace(tzinfo=None)], "M8[ns]"), np.array([b"a"]), pd.NaT, pd.NA,
    pd.Timestamp(T), pd.Timestamp.max, pd.Timedelta(1), pd.Series([1]), pd.DataFrame({"a": [1]}),
    pd.Interval(0, 1), pa.scalar(1), pa.array([1]), "9" * 5000, "[" * 5000, '{"a": NaN}',
    datetime(9999, 12, 31, 23, tzinfo=ZoneInfo("America/New_York")),
    datetime(1, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo")),
]  # fmt: skip


@pytest.mark.parametrize("dtype", TYPES)
def test_whatever_is_pushed_is_written_or_refused_by_row(dtype: Any) -> None:
    for value in ABSURD:
        if (misfit := refused(lambda value=value: read_values(dtype, [None, value]))) is not None:
            assert misfit.row == 1
            assert len(misfit.problem) < 300
            assert misfit.problem.isprintable()
        else:
            values, valid = read_values(dtype, [None, value])
            assert len(split_rows(encode_values(dtype, values, valid), 2)) == 2
            assert not valid[0]


def test_whatever_is_a_time_is_taken_or_refused_by_row() -> None:
    taken = []
    for value in ABSURD:
        misfit = refused(lambda value=value: read_event_times([T, value]))
        if misfit is None:
            taken.append(value)
        else:
            assert misfit.row == 1
    assert taken == [pd.Timestamp(T)]


def refused(read: Callable[[], Any]) -> Misfit | None:
    """The reason why a value is not taken; None where it is."""
    try:
        read()
    except Misfit as error:
        return error
    return None


def encoded(dtype: Any, column: tuple[Any, Any]) -> list[bytes]:
    return split_rows(encode_values(dtype, *column), len(column[1]))


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("Set(Int64)", [[3, 1, 3], [], None]),
        ("Set(String)", [["b", "a", "b"]]),
        ("Set(Bool)", [[True, False, True]]),
        ("Array(UnixTimestamp)", [[T, T + timedelta(days=400)], []]),
        ("Set(UnixTimestamp)", [[T], []]),
        ("UnixTimestamp", [T, None]),
        ("Map", [{"b": 1, "a": [1, 2]}, None]),
        ("Struct({name: String, sizes: Array(Int64)})", [{"name": "a", "sizes": [1, 2]}, None]),
        ("Array(Array(Int64))", [[[1], [2, 3]], [], None]),
        ("Array(Map)", [[{"a": 1}, {"a": 2}], None]),
        ("Array(Struct({when: UnixTimestamp}))", [[{"when": T}]]),
        ("ZonedTimestamp", ["2026-01-01T00:00+09:00[Asia/Tokyo]", None]),
        ("Json", ['{"a": 1}', None]),
        ("Map", ['{"a": {"b": [1.5]}}']),
    ],
)  # fmt: skip
def test_values_of_python_are_the_bytes_of_those_of_a_table(dtype: Any, values: Sequence[Any]) -> None:
    table = read_column(dtype, pa.array(values))
    assert encoded(dtype, read_values(dtype, values)) == encoded(dtype, table)


def test_values_that_tables_have_otherwise() -> None:
    tokyo = datetime(2026, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo"))
    for dtype, value, same in (
        ("ZonedTimestamp", tokyo, "2026-01-01T00:00+09:00[Asia/Tokyo]"),
        ("Json", {"a": [1, None]}, '{"a": [1, null]}'),
        ("Array(Json)", [{"a": 1}], ['{"a": 1}']),
        ("Uuid", U, str(U)),
        ("Decimal", Decimal("1.50"), "1.50"),
        ("Decimal", 7, "7"),
        ("UnixTimestamp", 1_700_000_000, datetime.fromtimestamp(1_700_000_000, UTC)),
        ("UnixTimestamp", "2026-01-01 09:00+09:00", datetime(2026, 1, 1)),
        ("UnixTimestamp", date(2026, 1, 1), datetime(2026, 1, 1)),
        ("Set(Int64)", {1, 2}, [1, 2]),
        ("Map", [("a", 1)], {"a": 1}),
        ("Map", {"at": [tokyo]}, {"at": np.array(["2025-12-31T15:00"], "M8[ms]")}),
        ("Bytes", bytearray(b"a"), b"a"),
        ("Array(Int64)", np.array([1, 2]), [1, 2]),
        ("Array(Float64)", (1, None), [1.0, math.nan]),
        ("Float64", Decimal("NaN"), None),
    ):
        kind: Any = dtype
        assert encoded(kind, read_values(kind, [value])) == encoded(kind, read_values(kind, [same])), dtype


def test_json_is_taken_as_deep_as_every_reader_can_follow() -> None:
    deep: list[Any] = []
    for _ in range(255):
        deep = [deep]
    assert read_values("Json", [deep])[1].all()
    assert read_values("Json", ["[" * 256 + "]" * 256])[1].all()
    for value in ([deep], "[" * 257 + "]" * 257, "[" * 100_000 + "]" * 100_000):
        with pytest.raises(Misfit, match=r"row 0: .* is no Json"):
            read_values("Json", [value])


def test_a_value_is_shown_in_one_line_of_letters_that_are_printed() -> None:
    assert shown("a\nb\x1b[2J\u202e") == "'a\\nb\\x1b[2J\\u202e'"
    assert len(shown(["x" * 10_000])) == 101
