"""Columns of a table become the columns that Feast would write, and nothing is changed on the way."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from feast.type_map import python_values_to_proto_values
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.batch.arrow_columns import read_column, read_times_us
from headrace.featurestore.redis_codec.byte_columns import split_rows
from headrace.featurestore.redis_codec.column_values import encode_values
from headrace.schemas.feature_types import NestedType, ValueType
from headrace.streams.columnar.lists import Lists
from tests.support.feature_values import feast_type

MICROSECONDS = st.integers(-(10**14), 10**14) | st.integers(-3_000_000, 3_000_000)
TIMES = pa.timestamp("us", "UTC")


def assert_written_as_feast_writes(dtype: ValueType, array: pa.Array) -> None:
    values, valid = read_column(dtype, array)
    ours = [bytes(raw) for raw in split_rows(encode_values(dtype, values, valid), len(array))]
    column = array.to_numpy(zero_copy_only=False)
    feasts = python_values_to_proto_values(column, feast_type(dtype).to_value_type())
    assert ours == [value.SerializeToString() for value in feasts]


@given(st.lists(MICROSECONDS, min_size=1, max_size=8))
def test_times_are_whole_seconds_as_feast_rounds_them_also_before_1970(times: list[int]) -> None:
    assert_written_as_feast_writes("UnixTimestamp", pa.array(times, TIMES))
    assert_written_as_feast_writes("Array(UnixTimestamp)", pa.array([times, []], pa.list_(TIMES)))


def test_dates_are_times_and_nulls_are_nulls() -> None:
    values, valid = read_column("UnixTimestamp", pa.array([date(1970, 1, 2), None, date(1969, 12, 31)]))
    assert values.tolist() == [86_400_000, 0, -86_400_000]
    assert valid.tolist() == [True, False, True]


@pytest.mark.parametrize("dtype", ["Int32", "Float32", "String", "Bool", "UnixTimestamp", "Array(Int64)"])
@pytest.mark.parametrize("rows", [0, 2])
def test_a_column_of_nulls_is_of_every_type(dtype: ValueType, rows: int) -> None:
    values, valid = read_column(dtype, pa.chunked_array([pa.nulls(rows)]))
    assert (len(values), valid.tolist()) == (rows, [False] * rows)


@pytest.mark.parametrize("dtype", ["Float32", "Float64", "Decimal", "Array(Decimal)"])
def test_decimals_are_numbers_as_feast_writes_them(dtype: ValueType) -> None:
    decimals = [Decimal("0.1"), None, Decimal("-12345678901234567.89")]
    array = pa.array(decimals, pa.decimal128(38, 2))
    if dtype == "Array(Decimal)":
        array = pa.array([[value] if value else None for value in decimals], pa.list_(array.type))
    assert_written_as_feast_writes(dtype, array)


@pytest.mark.parametrize("dtype", ["Int32", "Int64"])
def test_whole_numbers_of_a_warehouse_are_decimals(dtype: ValueType) -> None:
    for kind in (pa.decimal128(38, 0), pa.decimal128(20, 2), pa.decimal256(50, 0)):
        assert_written_as_feast_writes(dtype, pa.array([Decimal(7), None, Decimal(-(2**31))], kind))


def test_bytes_of_one_size_are_bytes() -> None:
    assert_written_as_feast_writes("Bytes", pa.array([b"ab", None], pa.binary(2)))


def test_chunks_and_dictionaries_are_one_column() -> None:
    chunks = pa.chunked_array([pa.array(["a", None]), pa.array(["b"])]).dictionary_encode()
    values, valid = read_column("String", chunks)
    assert values == [b"a", b"", b"b"]
    assert valid.tolist() == [True, False, True]


def test_nan_is_null_in_a_column_and_a_number_in_a_list() -> None:
    values, valid = read_column("Float64", pa.array([float("nan"), 1.0]))
    assert (values.tolist(), valid.tolist()) == ([0.0, 1.0], [False, True])
    lists, valid = read_column("Array(Float64)", pa.array([[float("nan"), None], None]))
    assert isinstance(lists, Lists)
    assert (lists.lengths.tolist(), valid.tolist()) == ([2, 0], [True, False])
    assert np.isnan(lists.values).all()


def test_a_set_has_each_element_once() -> None:
    lists, _ = read_column("Set(String)", pa.array([["b", "a", "b"], []]))
    assert lists.tolist() == [[b"b", b"a"], []]


@pytest.mark.parametrize(
    ("dtype", "values", "said"),
    [
        ("Int64", pa.array([1.0, 2.5]), "row 1 is 2.5, which is no Int64"),
        ("Int64", pa.array([2.0**63]), "which is no Int64"),
        ("Int32", pa.array([-(2**31) - 1]), "row 0 is -2147483649, which is no Int32"),
        ("Int64", pa.array([Decimal("1.00"), Decimal("2.50")]), "row 1 is 2.50, which is no Int64"),
        ("Int64", pa.array([Decimal(2**63)]), "row 0 is 9223372036854775808, which is no Int64"),
        ("Int32", pa.array([Decimal(2**31)]), "row 0 is 2147483648, which is no Int32"),
        ("String", pa.array([Decimal(1)]), "not String"),
        ("Bool", pa.array([0, 1]), "it is int64, not Bool"),
        ("Float64", pa.array(["1"]), "it is string, not Float64"),
        ("Bytes", pa.array(["a"]), "it is string, not Bytes"),
        ("Uuid", pa.array([None, "x"]), "row 1 is 'x', which is no Uuid"),
        ("Json", pa.array(["{}", "[" * 257 + "]" * 257]), "row 1 is .*, which is no Json"),
        ("Json", pa.array(["[" * 100_000]), "which is no Json"),
        (NestedType("Array(Array(Int64))"), pa.array(["[" * 100_000]), "which is no Array"),
        ("Array(Int64)", pa.array([[1], [], [2, None]]), r"row 2 has a null in it, for which Array\(Int64\)"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_row(dtype: ValueType, values: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_column(dtype, values)


def test_event_times_are_microseconds_and_complete() -> None:
    seconds = pa.chunked_array([pa.array([-1, 2], pa.timestamp("s"))])
    assert read_times_us(seconds).tolist() == [-1_000_000, 2_000_000]
    with pytest.raises(ValueError, match="it is int64, not a timestamp"):
        read_times_us(pa.chunked_array([[1]]))
    with pytest.raises(ValueError, match="1 values are missing"):
        read_times_us(pa.chunked_array([pa.array([1, None], pa.timestamp("s"))]))


def test_times_that_no_reader_can_hold_are_refused_whatever_their_unit() -> None:
    far = {"s": 10**15, "ms": 10**18, "us": -(10**18)}
    for unit, time in far.items():
        times = pa.array([0, None, time], pa.timestamp(unit))
        nested = pa.array([[[0], [time]]], pa.list_(pa.list_(pa.timestamp(unit))))
        for refuse in (
            lambda times=times: read_times_us(pa.chunked_array([times.drop_null()])),
            lambda times=times: read_column("UnixTimestamp", times),
            lambda times=times: read_column("Array(UnixTimestamp)", pa.array([times.drop_null().to_numpy()])),
            lambda nested=nested: read_column(NestedType("Array(Array(UnixTimestamp))"), nested),
        ):
            with pytest.raises(ValueError, match="no year from 1 to 9999"):
                refuse()
    held = pa.array([-62_135_596_800, 253_402_300_799], pa.timestamp("s"))
    assert read_times_us(pa.chunked_array([held])).tolist() == [
        -62_135_596_800_000_000,
        253_402_300_799_000_000,
    ]
    assert read_column("UnixTimestamp", held)[1].all()
    days = pa.array([-719_162, 2_932_896], pa.date32())
    assert read_column("UnixTimestamp", days)[1].all()
    with pytest.raises(ValueError, match="row 1"):
        read_column("UnixTimestamp", pa.array([0, 2_932_897], pa.date32()))
