"""Feature values in the prediction log: of JSON's types, and what they were when they are read back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.logged_values import fits, from_logged, to_logged
from headrace.schemas.feature_types import LOGGED_TYPES, ValueType

VALUES: dict[ValueType, st.SearchStrategy[Any]] = {
    "Int32": st.integers(-(2**31), 2**31 - 1),
    "Int64": st.integers(-(2**63), 2**63 - 1),
    "Float32": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "Float64": st.floats(allow_nan=False, allow_infinity=False),
    "String": st.text(),
    "Bool": st.booleans(),
    # Feast keeps whole seconds; milliseconds of a float are exact for these years.
    "UnixTimestamp": st.datetimes(datetime(1902, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)).map(
        lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    ),
}


def test_there_is_a_value_of_every_type() -> None:
    assert set(VALUES) == set(LOGGED_TYPES)


@pytest.mark.parametrize("dtype", LOGGED_TYPES)
@given(data=st.data())
def test_a_value_comes_back_from_the_log(dtype: ValueType, data: st.DataObject) -> None:
    value = data.draw(st.none() | VALUES[dtype])
    logged = to_logged(value)
    assert json.loads(json.dumps(logged)) == logged
    assert fits(dtype, logged)
    assert from_logged(dtype, logged) == value


def test_a_time_is_logged_without_its_zone() -> None:
    moment = datetime(2013, 1, 1, 21, tzinfo=timezone(timedelta(hours=9)))
    assert to_logged(moment) == 1_357_041_600_000


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("Int64", 1.0),
        ("Int64", True),
        ("Int32", "1"),
        ("Float64", True),
        ("Float64", "1.0"),
        ("String", 1),
        ("Bool", 1),
        ("Bool", "true"),
        ("UnixTimestamp", 1.5),
        ("UnixTimestamp", "2013-01-01"),
        ("UnixTimestamp", False),
    ],
)
def test_a_value_of_another_type_does_not_fit(dtype: ValueType, value: Any) -> None:
    assert not fits(dtype, value)


@pytest.mark.parametrize("dtype", ["Float32", "Float64"])
def test_a_whole_number_fits_a_float(dtype: ValueType) -> None:
    assert fits(dtype, 1)
