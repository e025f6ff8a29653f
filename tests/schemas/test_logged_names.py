"""Lists in predictions: by their elements, and back."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.feature_specs import AggregationSpec, FieldSpec, StreamViewSpec
from headrace.schemas.feature_types import LOGGED_TYPES
from headrace.schemas.logged_names import MOST_ELEMENTS, logged_names, logged_value

lists = st.none() | st.lists(st.integers() | st.text(max_size=3) | st.floats(allow_nan=False), max_size=9)


@given(served=lists, length=st.integers(0, 12))
def test_a_list_comes_back_from_its_elements_as_far_as_its_length(served: Any, length: int) -> None:
    names = logged_names("v__f", FieldSpec(name="f", dtype="Array(Int64)", length=length))
    assert [each.name for each in names] == [f"v__f__{place}" for place in range(length)]
    logged = {each.name: each.value(served) for each in names}
    assert logged_value(names, logged) == ((served or [])[:length] or None)
    assert logged_value(names, {}) is None


@given(dtype=st.sampled_from(LOGGED_TYPES), served=st.none() | st.integers() | st.text())
def test_a_single_value_has_the_name_of_its_feature(dtype: Any, served: Any) -> None:
    (only,) = logged_names("v__f", FieldSpec(name="f", dtype=dtype, length=3))
    assert (only.name, only.dtype, only.value(served)) == ("v__f", dtype, served)
    assert logged_value([only], {"v__f": served}) == served


def test_what_predictions_do_not_hold_has_no_names() -> None:
    for dtype in ("Bytes", "Array(Bytes)", "Set(Int64)", "Map", "Array(Array(Int64))"):
        assert logged_names("v__f", FieldSpec(name="f", dtype=dtype, length=3)) == ()
    absurd = FieldSpec(name="f", dtype="Array(Int64)", length=2**31 - 1)
    assert len(logged_names("v__f", absurd)) == MOST_ELEMENTS


def test_the_length_of_last_k_is_k_and_is_not_written_where_there_is_none() -> None:
    aggregations = tuple(
        AggregationSpec(feature=name, function=name, column="c", window_ms=0, hop_ms=0, dtype=dtype)
        for name, dtype in (("last_7", "Array(String)"), ("last", "String"), ("count", "Int64"))
    )
    view = StreamViewSpec(name="v", source="s", join_keys=(), aggregations=aggregations)
    assert [(field.name, field.length) for field in view.features] == [
        ("last_7", 7),
        ("last", 0),
        ("count", 0),
    ]
    assert FieldSpec(name="f", dtype="Int64").model_dump() == {"name": "f", "dtype": "Int64"}
