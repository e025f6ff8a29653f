"""Arrow's nested columns become the messages that Feast makes of them, wherever Feast can."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from feast.type_map import feast_value_type_to_python_type, python_values_to_proto_values
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.batch.nested_columns import read_messages
from headrace.featurestore.redis_codec.decoder import decode_values
from headrace.featurestore.redis_codec.layout import value_tag
from headrace.featurestore.redis_codec.protobuf import behind_length
from headrace.schemas.feature_types import NestedType, ValueType
from tests.support.feature_values import INT32, INT64, TEXT, feast_type, in_order, shown
from tests.support.properties import tries

MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=UTC)
)
TIME = pa.timestamp("us", "UTC")
# What is in a column: Feast's type, Arrow's, values, and whether Feast has nulls of it in a list.
ELEMENTS: list[tuple[str, pa.DataType, st.SearchStrategy[Any], bool]] = [
    ("Int32", pa.int32(), INT32, False),
    ("Int64", pa.int64(), INT64, False),
    ("Float32", pa.float32(), st.floats(width=32), True),
    ("Float64", pa.float64(), st.floats(), True),
    ("Bool", pa.bool_(), st.booleans(), False),
    ("String", pa.string(), TEXT, False),
    ("Bytes", pa.binary(), st.binary(min_size=1, max_size=20), False),
    ("UnixTimestamp", TIME, MOMENTS, True),
]


def same_as_feast(dtype: ValueType, array: pa.Array) -> None:
    """As `feast.utils._convert_arrow_to_proto` makes values of a column."""
    values = array.to_numpy(zero_copy_only=False)
    feasts = python_values_to_proto_values(values, feast_type(dtype).to_value_type())
    messages = read_messages(dtype, array)
    found = [
        value_tag(dtype) + behind_length(message) if known else b""
        for message, known in zip(messages, array.is_valid().to_pylist(), strict=True)
    ]
    written = [value.SerializeToString() for value in feasts]
    assert [in_order(dtype, raw) for raw in found] == [in_order(dtype, raw) for raw in written]
    assert shown(decode_values(found)) == shown([feast_value_type_to_python_type(value) for value in feasts])


@pytest.mark.parametrize(("name", "kind", "values", "nullable"), ELEMENTS)
@pytest.mark.parametrize("depth", [2, 3])
@tries(25)
@given(data=st.data())
def test_lists_in_lists(
    name: str,
    kind: pa.DataType,
    values: st.SearchStrategy[Any],
    nullable: bool,
    depth: int,
    data: st.DataObject,
) -> None:
    lists: st.SearchStrategy[Any] = st.lists(st.none() | values if nullable else values, max_size=4)
    dtype, arrow = f"Array({name})", pa.list_(kind)
    for _ in range(depth - 1):
        # In the third level Feast takes a list of nothing but nulls for one of values, and fails.
        lists = st.lists(st.none() | lists if depth == 2 else lists, max_size=3)
        dtype, arrow = f"Array({dtype})", pa.list_(arrow)
    rows = data.draw(st.lists(st.none() | lists, min_size=1, max_size=5))
    same_as_feast(NestedType(dtype), pa.array(rows, arrow))


def test_a_time_before_1970_is_rounded_down_also_when_it_is_just_above_a_second() -> None:
    moment = datetime(1969, 1, 1, 0, 0, 0, 999_001, tzinfo=UTC)
    arrow = pa.list_(pa.list_(TIME))
    same_as_feast(NestedType("Array(Array(UnixTimestamp))"), pa.array([[[moment, None]]], arrow))


@tries(60)
@given(data=st.data())
def test_structs(data: st.DataObject) -> None:
    fields = data.draw(st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=5))
    # Beside a null, pandas makes a float of a whole number, and Feast stores that: none here.
    parts = {
        f"f{at}": values if "Int" in name else st.none() | values
        for at, (name, _, values, _) in enumerate(fields)
    }
    parts["in"] = st.none() | st.fixed_dictionaries({"a b": st.none() | TEXT})
    parts["list"] = st.none() | st.lists(st.floats(), min_size=1, max_size=3)
    rows = data.draw(st.lists(st.fixed_dictionaries(parts), min_size=1, max_size=4))
    types = [(f"f{at}", kind) for at, (_, kind, _, _) in enumerate(fields)]
    arrow = pa.struct([*types, ("in", pa.struct([("a b", pa.string())])), ("list", pa.list_(pa.float64()))])
    names = ", ".join(f"f{at}: {name}" for at, (name, *_) in enumerate(fields))
    dtype = f'Struct({{{names}, in: Struct({{"a b": String}}), list: Array(Float64)}})'
    same_as_feast(NestedType(dtype), pa.array(rows, arrow))
    lists = pa.array([rows, [], None, rows[:1]], pa.list_(arrow))
    same_as_feast(NestedType(f"Array({dtype})"), lists)
    same_as_feast(
        NestedType(f"Array(Array({dtype}))"), pa.array([[rows, []], None], pa.list_(pa.list_(arrow)))
    )


ENTRIES = pa.list_(pa.struct({"key": pa.string(), "value": pa.int64()}))


@pytest.mark.parametrize("kind", [pa.map_(pa.string(), pa.int64()), ENTRIES])
def test_maps_are_maps_however_arrow_has_them(kind: pa.DataType) -> None:
    rows: list[Any] = [[("a", 1), ("b", None)], [], None, [("a", 2**40)]]
    if not pa.types.is_map(kind):
        rows = [row and [{"key": key, "value": value} for key, value in row] for row in rows]
    sliced = pa.array([[], *rows], kind).slice(1)
    values = [{"a": 1, "b": None}, {}, None, {"a": 2**40}]
    feasts = python_values_to_proto_values(values, feast_type("Map").to_value_type())
    assert [
        value_tag("Map") + behind_length(message) for message in read_messages("Map", sliced) if message
    ] == [in_order("Map", value.SerializeToString()) for value in feasts if value.map_val.val]


def test_maps_of_any_keys() -> None:
    moment = datetime(2013, 1, 1, tzinfo=UTC)
    for key, kind in [
        (1, pa.int32()),
        (1.5, pa.float64()),
        (True, pa.bool_()),
        (b"a", pa.binary()),
        (moment, TIME),
    ]:
        array = pa.array([[(key, "x")], []], pa.map_(kind, pa.string()))
        feasts = python_values_to_proto_values([{key: "x"}], feast_type("ScalarMap").to_value_type())
        (message, empty) = read_messages("ScalarMap", array)
        assert value_tag("ScalarMap") + behind_length(message) == feasts[0].SerializeToString()
        assert empty == b""
