"""Responses as rows, columns and matrices."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from headrace.featurestore.online.response import FeatureResponse
from headrace.schemas.errors import HeadraceError, UnknownNameError

DAY = datetime(2013, 1, 1, tzinfo=UTC)
DAY_MS = DAY.timestamp() * 1000
NAN = np.nan


def response(**columns: list[Any]) -> FeatureResponse:
    return FeatureResponse({}, columns, {}, {})


def test_rows_and_columns_begin_with_the_join_keys() -> None:
    found = FeatureResponse({"user": [1, 2], "place": ["a", "b"]}, {"n": [3, None]}, {}, {})
    assert list(found.to_dict()) == ["user", "place", "n"]
    assert found.rows() == [
        {"user": 1, "place": "a", "n": 3},
        {"user": 2, "place": "b", "n": None},
    ]
    assert [list(row) for row in found.rows()] == [["user", "place", "n"]] * 2


def test_numbers_bools_and_times_become_a_matrix_in_the_order_of_the_names() -> None:
    found = response(a=[1, None], b=[True, False], t=[None, DAY], d=[Decimal("0.5"), Decimal(2)])
    np.testing.assert_array_equal(
        found.to_numpy(["t", "b", "a", "d"]), [[NAN, 1, 1, 0.5], [DAY_MS, 0, NAN, 2]]
    )
    assert found.to_numpy([]).shape == (2, 0)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1.0], "'x' is a list; read it with `lists_to_numpy`"),
        (b"bytes", "'x' is a bytes"),
        ("text", r"'x' is text \('text'\) and has no number; .*`objects_to_numpy`"),
        ({"a": 1}, "'x' is a dict"),
    ],
)
def test_what_is_no_number_has_no_place_in_the_matrix_of_numbers(value: Any, said: str) -> None:
    with pytest.raises(HeadraceError, match=said):
        response(x=[None, value]).to_numpy(["x"])


def test_values_of_any_type_become_a_matrix_of_objects() -> None:
    matrix = response(a=[{"k": 1}, None], b=[[1, 2], "text"]).objects_to_numpy(["b", "a"])
    assert matrix.dtype == object
    assert matrix.tolist() == [[[1, 2], {"k": 1}], ["text", None]]


def test_lists_become_a_matrix_filled_with_nan() -> None:
    found = response(a=[[1.0, 2.0], None, [], [3.0]], t=[[DAY, None]], whole=[[1, 2], [3]], e=[None])
    np.testing.assert_array_equal(found.lists_to_numpy("a"), [[1, 2], [NAN, NAN], [NAN, NAN], [3, NAN]])
    np.testing.assert_array_equal(found.lists_to_numpy("whole", 3), [[1, 2, NAN], [3, NAN, NAN]])
    np.testing.assert_array_equal(found.lists_to_numpy("t"), [[DAY_MS, NAN]])
    assert found.lists_to_numpy("e").shape == (1, 0)


@pytest.mark.parametrize(
    ("value", "width", "said"),
    [
        ([1.0, 2.0], 1, "has a list of 2; give a width of as many or more"),
        (["a"], None, "'x' is text"),
        (1.0, None, r"'x' is no list \(1.0\); read it with `to_numpy`"),
        ([[1.0]], None, "'x' is a list in a list; read it with `objects_to_numpy`"),
    ],
)
def test_what_is_no_list_of_numbers_has_no_place_in_a_matrix(
    value: Any, width: int | None, said: str
) -> None:
    with pytest.raises(HeadraceError, match=said):
        response(x=[None, value]).lists_to_numpy("x", width)


def test_a_name_that_was_not_asked_for_is_refused_with_the_nearest() -> None:
    found = response(mean_1h=[1.0])
    for read in (
        lambda: found.to_numpy(["mean_1"]),
        lambda: found.objects_to_numpy(["mean_1"]),
        lambda: found.lists_to_numpy("mean_1"),
    ):
        with pytest.raises(UnknownNameError, match="did you mean 'mean_1h'"):
            read()


def test_no_rows_are_a_matrix_without_rows() -> None:
    assert response(a=[]).to_numpy(["a"]).shape == (0, 1)
    assert response(a=[]).objects_to_numpy(["a"]).shape == (0, 1)
    assert response(a=[]).lists_to_numpy("a", 4).shape == (0, 4)
