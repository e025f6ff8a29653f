"""Values of nested types are of their declared type, or named."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from headrace.featurestore.redis_codec.nested_values import conform
from headrace.schemas.nested_types import parse_type

DAY = datetime(2013, 1, 1, tzinfo=UTC)
ID = UUID("12345678-1234-5678-1234-567812345678")


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("Struct({a: Int64, b: Bool})", {"a": 1, "b": True}),
        ("Struct({a: Int64, b: Bool})", {"b": None}),
        ("Struct({a: Int64})", {"a": 2.0}),  # as pandas has whole numbers beside a null
        (
            "Struct({a: Float64, b: Uuid, c: Decimal, d: UnixTimestamp})",
            {"a": 1, "b": ID, "c": Decimal(1), "d": DAY},
        ),
        ("Array(Array(String))", [["a", None], None, []]),
        ("Array(Struct({a: Bytes}))", [{"a": b"x"}, None]),
        ("Map", {"any": ["thing", 1]}),
        ("Map", None),
    ],
)
def test_what_fits_is_as_it_was(dtype: Any, value: Any) -> None:
    assert conform(parse_type(dtype), value) == value


@pytest.mark.parametrize("element", ["Int32", "Int64", "Float64"])
def test_arrays_of_whole_numbers_fit_numbers(element: str) -> None:
    values = np.array([1.0, np.nan])
    assert conform(parse_type(f"Array({element})"), values) is values  # type: ignore[arg-type]


def test_maps_may_be_lists_of_their_entries() -> None:
    entries = [{"key": 1, "value": "x"}, {"key": 2, "value": None}]
    assert conform(parse_type("ScalarMap"), entries) == {1: "x", 2: None}
    assert conform(parse_type("Map"), [["a", "b"], ["c", "d"]]) == {"a": "b", "c": "d"}
    assert conform(parse_type("Map"), []) == {}


@pytest.mark.parametrize(
    ("dtype", "value", "said"),
    [
        ("Struct({a: Int64})", {"a": 1.5}, "1.5 is no Int64"),
        ("Struct({a: Int64})", {"a": True}, "True is no Int64"),
        ("Struct({a: Bool})", {"a": 1}, "1 is no Bool"),
        ("Struct({a: String})", {"a": b"x"}, "b'x' is no String"),
        ("Struct({a: Int64})", {"b": 1}, r"\{'b': 1\} is no Struct"),
        ("Struct({a: Int64})", [1], "is no Struct"),
        ("Array(Int64)", np.array([1.5]), r"\[1.5\] is no Array\(Int64\)"),
        ("Array(Bool)", np.array([1]), r"\[1\] is no Array\(Bool\)"),
        ("Array(String)", "ab", "'ab' is no Array"),
        ("Map", [["a"]], r"\[\['a'\]\] is no Map; give a map, or a list of structs"),
        ("ScalarMap", [["a", "b"]], "is no ScalarMap; give a map"),
    ],
)
def test_what_does_not_fit_is_refused(dtype: Any, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        conform(parse_type(dtype), value)
