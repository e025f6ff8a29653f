"""Values of on-demand views: the frame they are computed from, and the types they are cast to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headrace.featurestore.on_demand.values import COMPUTED_TYPES, cast_value, data_frame
from headrace.schemas.feature_types import FLAT_TYPES, LOGGED_TYPES, ValueType, element_type

NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)
BEFORE_1970 = datetime(1969, 12, 31, 23, 59, 58, tzinfo=UTC)


@pytest.mark.parametrize(
    ("dtype", "values", "column"),
    [
        ("Int64", [1, 2], "int64"),
        ("Int32", [1, None], "float64"),
        ("Int64", [None, None], "float64"),
        ("Float32", [None, 0.5], "float64"),
        ("Float64", [None, None], "float64"),
        ("Bool", [True, False], "bool"),
        ("Bool", [True, None], "object"),
        ("String", ["a", None], "object"),
        ("UnixTimestamp", [None, None], "datetime64[ns, UTC]"),
        ("Array(Int64)", [[1, 2], None], "object"),
        (None, [1, None], "object"),
    ],
)
def test_a_column_has_the_type_of_its_feature_whatever_is_missing(
    dtype: ValueType | None, values: list[Any], column: str
) -> None:
    frame = data_frame({"x": values}, {} if dtype is None else {"x": dtype})
    assert str(frame["x"].dtype).replace("[us,", "[ns,").replace("[s,", "[ns,") == column
    assert list(frame["x"].isna()) == [value is None for value in values]


@pytest.mark.parametrize(
    ("dtype", "value", "cast"),
    [
        ("Int32", np.int64(7), 7),
        ("Int64", 7.0, 7),
        ("Int64", True, 1),
        ("Float32", 1, 1.0),
        ("Float64", np.float32(0.5), 0.5),
        ("Bool", np.bool_(True), True),
        ("String", "a", "a"),
        ("UnixTimestamp", NOON + timedelta(microseconds=5), NOON),
        ("UnixTimestamp", NOON.replace(tzinfo=None), NOON),
        ("UnixTimestamp", NOON.astimezone(timezone(timedelta(hours=9))), NOON),
        ("UnixTimestamp", pd.Timestamp(NOON), NOON),
        ("UnixTimestamp", NOON.timestamp(), NOON),
        ("UnixTimestamp", BEFORE_1970 + timedelta(microseconds=500_000), BEFORE_1970),
        ("Array(Int64)", np.array([1.0, 2.0]), [1, 2]),
        ("Array(String)", ("a", "b"), ["a", "b"]),
    ],
)
def test_a_value_is_cast_without_loss(dtype: ValueType, value: Any, cast: Any) -> None:
    result = cast_value(dtype, value)
    assert (result, type(result)) == (cast, type(cast))


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("Int64", 0.5),
        ("Int64", float("inf")),
        ("Int32", "7.5"),
        ("Float64", "text"),
        ("String", 7),
        ("String", b"bytes"),
        ("UnixTimestamp", "noon"),
        ("Array(Int64)", 7),
        ("Array(Int64)", [1, 2.5]),
    ],
)
def test_a_value_of_another_type_is_an_error(dtype: ValueType, value: Any) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        cast_value(dtype, value)


def test_computed_types_are_single_values_of_features_and_lists_of_them() -> None:
    assert set(COMPUTED_TYPES) <= set(FLAT_TYPES)
    assert {dtype for dtype in COMPUTED_TYPES if element_type(dtype) is None} == set(LOGGED_TYPES)
    assert {element_type(dtype) for dtype in COMPUTED_TYPES} == {None, *LOGGED_TYPES}
