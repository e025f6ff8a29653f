"""Join keys of requests: encoded alike however they are written, or refused by their first misfit."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from headrace.featurestore.online.entity_keys import encode_join_key
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import FieldSpec
from headrace.schemas.feature_types import ValueType

NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)


def key(dtype: ValueType) -> FieldSpec:
    return FieldSpec(name="k", dtype=dtype)


def test_one_time_may_be_written_in_several_ways() -> None:
    times = [
        NOON,
        NOON + timedelta(microseconds=999_999),
        NOON.replace(tzinfo=None),
        NOON.astimezone(timezone(timedelta(hours=9))),
        int(NOON.timestamp()),
    ]
    assert len(set(encode_join_key(key("UnixTimestamp"), times))) == 1


def test_a_time_before_1970_is_rounded_down() -> None:
    moment = datetime(1969, 12, 31, 23, 59, 58, 500_000, tzinfo=UTC)
    assert encode_join_key(key("UnixTimestamp"), [moment]) == encode_join_key(key("UnixTimestamp"), [-2])


@pytest.mark.parametrize("dtype", ["Int32", "Int64"])
def test_numbers_of_numpy_are_numbers(dtype: ValueType) -> None:
    values = [np.int32(7), np.int64(7), np.uint8(7), True and 7]
    assert len(set(encode_join_key(key(dtype), values))) == 1


def test_no_rows_are_no_keys() -> None:
    assert encode_join_key(key("String"), []) == []


@pytest.mark.parametrize(
    ("dtype", "values", "said"),
    [
        ("String", ["a", 5], "takes text; row 1 has 5"),
        ("String", ["a", None], "takes text; row 1 has None"),
        ("String", [b"a"], "takes text; row 0 has b'a'"),
        ("Int32", [0, 2**31], "takes 32-bit integers; row 1 has 2147483648"),
        ("Int32", [-(2**31) - 1], "takes 32-bit integers; row 0 has -2147483649"),
        ("Int64", [1, 1.0], "takes 64-bit integers; row 1 has 1.0"),
        ("Int64", ["1"], "takes 64-bit integers; row 0 has '1'"),
        ("Int64", [-(2**63), 2**63], "takes 64-bit integers; row 1 has 9223372036854775808"),
        ("UnixTimestamp", [NOON, "noon"], "takes datetimes, or whole seconds since 1970; row 1 has 'noon'"),
        ("Bytes", [b"a", "a"], "takes bytes; row 1 has 'a'"),
        ("PdfBytes", [uuid.UUID(int=1)], "takes bytes; row 0 has UUID"),
    ],
)
def test_a_value_of_another_type_is_refused(dtype: ValueType, values: list[Any], said: str) -> None:
    with pytest.raises(HeadraceError) as caught:
        encode_join_key(key(dtype), values)
    assert f"join key 'k' {said}" in str(caught.value)
