"""Values in maps, structs and lists in lists: written by their Python type, or refused."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from feast.protos.feast.types.Value_pb2 import Value

from headrace.featurestore.redis_codec import layout
from headrace.featurestore.redis_codec.decoder import decode_values
from headrace.featurestore.redis_codec.nested_encoder import encode_message
from headrace.featurestore.redis_codec.protobuf import behind_length
from headrace.schemas.feature_types import NestedType, ValueType

NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)
LISTS = NestedType("Array(Array(Int64))")


def written_and_read(dtype: ValueType, value: Any) -> Any:
    message = encode_message(dtype, value)
    (found,) = decode_values([layout.value_tag(dtype) + behind_length(message)])
    return found


@pytest.mark.parametrize(
    "value",
    [
        {"a": None},
        {"a": True, "b": 1, "c": 0.5, "d": "text", "e": b"bytes"},
        {"f": NOON, "g": Decimal("1.5"), "h": UUID(int=1)},
        {"list": [1, 2], "texts": ["a"], "empty": [], "map": {"deep": {"deeper": [True]}}},
        {"maps": [{"a": 1}, {"a": 2}]},
        {"é": -(2**63), "": 2**63 - 1},
        {},
    ],
)
def test_a_map_comes_back(value: dict[str, Any]) -> None:
    assert written_and_read("Map", value) == value


def test_entries_are_in_the_order_of_their_keys() -> None:
    assert encode_message("Map", {"b": 1, "a": 2}) == encode_message("Map", {"a": 2, "b": 1})
    parsed = Value.FromString(
        layout.value_tag("Map") + behind_length(encode_message("Map", {"b": 1, "a": 2}))
    )
    assert {key: each.int64_val for key, each in parsed.map_val.val.items()} == {"a": 2, "b": 1}


def test_nan_is_a_null() -> None:
    assert written_and_read("Map", {"a": float("nan")}) == {"a": None}


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ([[1, 2], [3]], [[1, 2], [3]]),
        ([[], None, [1]], [None, None, [1]]),  # Feast writes an empty inner list as a null
        ([[[1], [2, 3]], [[4]]], [[[1], [2, 3]], [[4]]]),
        ([np.array([1, 2], np.int32), np.array([0.5], np.float32)], [[1, 2], [0.5]]),
        ([np.array(["2013-01-01T12:00"], "M8[ms]")], [[NOON]]),
        ([], []),
    ],
)
def test_lists_in_lists_come_back(value: list[Any], read: list[Any]) -> None:
    assert written_and_read(LISTS, value) == read


@pytest.mark.parametrize("key", [True, 7, 0.5, NOON, b"k", UUID(int=3), Decimal("2.50")])
def test_a_scalar_map_has_keys_of_any_type_but_text(key: Any) -> None:
    assert written_and_read("ScalarMap", {key: "v"}) == {key: "v"}


@pytest.mark.parametrize(
    ("dtype", "value", "said"),
    [
        ("Map", [1], r"\[1\] is no map"),
        ("Map", {1: 2}, "the key 1 of a map is no text"),
        ("Map", {"a": object}, "<class 'object'> has no place in a list or a map"),
        ("Map", {"a": 2**63}, "9223372036854775808 is beyond 64 bits"),
        ("Map", {"a": [1, 2**63]}, "9223372036854775808 is beyond 64 bits"),
        ("Map", {"a": [1, "b"]}, "there are Int64 and String in one list"),
        ("Map", {"a": [[1]]}, "a list in a list has no place in a map or a struct"),
        ("Array(Map)", {"a": 1}, "is no list of maps"),
        ("Array(Map)", [1], "1 is no map"),
        ("ScalarMap", {"text": 1}, "the key 'text' of a ScalarMap is no number"),
        ("ScalarMap", 1, "1 is no map"),
        ("ScalarMap", {2**63: 1}, "beyond 64 bits"),
        (LISTS, 1, "1 is no list"),
        (LISTS, [1], "1 is no list in a list"),
        ("ZonedTimestamp", "noon", "'noon' is no time"),
    ],
)
def test_what_feast_cannot_write_is_refused(dtype: ValueType, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        encode_message(dtype, value)
