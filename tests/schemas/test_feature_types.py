"""Names of types say whether values are lists, sets or have parts, and which type of Feast stores them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from headrace.featurestore.redis_codec.layout import FIELD_NUMBERS
from headrace.schemas.feature_specs import FieldSpec
from headrace.schemas.feature_types import (
    FLAT_TYPES,
    JOIN_KEY_TYPES,
    LOGGED_TYPES,
    NestedType,
    ValueType,
    element_type,
    is_composite,
    outer_type,
)
from headrace.schemas.nested_types import parse_type

NESTED = {
    "Array(Array(Int64))": "Array(Array)",
    "Array(Set(Float64))": "Array(Array)",
    "Set(Array(String))": "Set(Array)",
    "Array(Array(Map))": "Array(Array)",
    "Struct({name: String, sizes: Array(Int64)})": "Struct",
    "Array(Struct({a: Map}))": "Array(Struct)",
}


@pytest.mark.parametrize("dtype", FLAT_TYPES)
def test_a_flat_type_is_its_own_outer_type(dtype: ValueType) -> None:
    assert outer_type(dtype) == dtype
    assert dtype in FIELD_NUMBERS


@pytest.mark.parametrize(("dtype", "outer"), NESTED.items())
def test_a_nested_type_has_parts_and_is_stored_by_its_outer_type(dtype: str, outer: str) -> None:
    assert outer_type(NestedType(dtype)) == outer
    assert outer in FIELD_NUMBERS
    assert is_composite(NestedType(dtype))
    assert element_type(NestedType(dtype)) is None


@pytest.mark.parametrize("dtype", FLAT_TYPES)
def test_lists_and_sets_of_single_values_have_an_element_type(dtype: ValueType) -> None:
    tree = parse_type(dtype)
    of_single_values = bool(tree.parts) and tree.element.name != "Map"
    assert element_type(dtype) == (tree.element.name if of_single_values else None)


def test_flat_types_with_parts() -> None:
    assert [dtype for dtype in FLAT_TYPES if is_composite(dtype)] == [
        "Map", "Array(Map)", "ScalarMap", "ZonedTimestamp",
    ]  # fmt: skip


def test_join_keys_and_logged_values_are_single_values() -> None:
    singles = {dtype for dtype in FLAT_TYPES if element_type(dtype) is None and not is_composite(dtype)}
    assert singles.issuperset((*JOIN_KEY_TYPES, *LOGGED_TYPES))


@pytest.mark.parametrize("dtype", [*FLAT_TYPES, *NESTED])
def test_a_field_may_be_of_every_type(dtype: str) -> None:
    assert FieldSpec.model_validate({"name": "f", "dtype": dtype}).dtype == dtype


@pytest.mark.parametrize(
    "dtype", ["Int", "Array(Text)", "Array(Int64", "Set(Json)", "Struct", "Array()", "Int64 "]
)
def test_a_field_of_another_type_is_refused(dtype: str) -> None:
    with pytest.raises(ValidationError, match="is no type"):
        FieldSpec.model_validate({"name": "f", "dtype": dtype})
