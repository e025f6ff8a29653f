"""Computing an on-demand view: what each kind of function is given, and what of its output is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headrace.featurestore.on_demand.view import OnDemandView
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import FieldSpec, OnDemandViewSpec
from headrace.schemas.feature_types import ValueType

INPUTS = {"n": [1, None, 3], "price": [2.0, 4.0, None]}
DTYPES: dict[str, ValueType] = {"n": "Int64", "price": "Float64"}


def compute(
    function: Callable[[Any], Any],
    mode: Any = "python",
    dtype: ValueType = "Float64",
    singleton: bool = False,
    inputs: Any = INPUTS,
) -> list[Any]:
    spec = OnDemandViewSpec(
        name="v",
        mode=mode,
        singleton=singleton,
        inputs=(),
        request=(),
        features=(FieldSpec(name="y", dtype=dtype),),
        file="views.py",
        definition="",
    )
    rows = len(inputs["n"])
    return OnDemandView(spec, DTYPES, function).compute(inputs, rows)["y"]


def test_a_function_of_columns_is_given_lists_with_none_for_missing() -> None:
    def function(inputs: Any) -> Any:
        assert inputs == {"n": [1, None, 3], "price": [2.0, 4.0, None]}
        return {"y": [1, 2, 3]}

    assert compute(function) == [1.0, 2.0, 3.0]


def test_a_function_of_rows_is_called_for_each() -> None:
    calls: list[Any] = []

    def function(row: Any) -> Any:
        calls.append(row)
        return {} if row["n"] is None else {"y": row["n"]}

    assert compute(function, singleton=True) == [1.0, None, 3.0]
    assert calls == [{"n": 1, "price": 2.0}, {"n": None, "price": 4.0}, {"n": 3, "price": None}]


def test_a_function_in_pandas_is_given_a_frame_of_the_declared_types() -> None:
    def function(df: pd.DataFrame) -> pd.DataFrame:
        assert df.dtypes.astype(str).to_dict() == {"n": "float64", "price": "float64"}
        return pd.DataFrame({"y": df["n"] * df["price"]})

    assert compute(function, mode="pandas") == [2.0, None, None]


@pytest.mark.parametrize("mode", ["pandas", "python"])
def test_without_rows_the_function_is_not_called(mode: str) -> None:
    def function(inputs: Any) -> Any:
        raise AssertionError

    assert compute(function, mode=mode, inputs={"n": [], "price": []}) == []


@pytest.mark.parametrize(
    "values", [[1, 2, 3], (1, 2, 3), np.array([1.0, 2.0, 3.0]), pd.Series([1, 2, 3], index=[7, 8, 9])]
)
def test_outputs_may_be_lists_arrays_and_series(values: Any) -> None:
    assert compute(lambda inputs: {"y": values}) == [1.0, 2.0, 3.0]


def test_an_output_may_bear_the_name_of_its_view() -> None:
    assert compute(lambda inputs: {"v__y": [1, 2, 3]}) == [1.0, 2.0, 3.0]
    assert compute(lambda inputs: {"v__y": [0] * 3, "y": [1, 2, 3]}) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT])
def test_nothing_is_null_in_whatever_way_it_is_written(missing: Any) -> None:
    assert compute(lambda inputs: {"y": [missing, 2.0, missing]}) == [None, 2.0, None]


@pytest.mark.parametrize(
    ("function", "dtype", "said"),
    [
        (lambda inputs: {"z": [1, 2, 3]}, "Int64", "gives no 'y'. Known: z"),
        (lambda inputs: {"y": [1, 2]}, "Int64", "gives 2 values of 'y' for 3 rows. Give one per row"),
        (lambda inputs: {"y": [1, 2.5, 3]}, "Int64", r"gives no Int64 for 'y' \(2.5 is not whole\)"),
        (lambda inputs: {"y": ["a", 2, "c"]}, "String", r"gives no String for 'y' \(2 is no text\)"),
        (lambda inputs: {"y": [1, "x", 3]}, "Float64", "gives no Float64 for 'y'"),
        (lambda inputs: {"y": [[1], [2.5], None]}, "Array(Int64)", r"gives no Array\(Int64\)"),
        (lambda inputs: 1 / 0, "Int64", "raises ZeroDivisionError: .*missing values"),
    ],
)
def test_what_the_view_does_not_declare_is_refused(
    function: Callable[[Any], Any], dtype: ValueType, said: str
) -> None:
    with pytest.raises(DefinitionError, match=f"views.py: on demand feature view 'v': its function {said}"):
        compute(function, dtype=dtype)
