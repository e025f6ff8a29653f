"""Whatever a function returns: features of the declared types, or an error that says what is wrong."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.on_demand.values import COMPUTED_TYPES
from headrace.featurestore.on_demand.view import OnDemandView
from headrace.schemas.errors import DefinitionError, RequestError
from headrace.schemas.feature_specs import FieldSpec, OnDemandViewSpec
from headrace.schemas.feature_types import element_type
from tests.support.properties import tries

ROWS = 3
TYPES = {
    "Int32": int,
    "Int64": int,
    "Float32": float,
    "Float64": float,
    "Bool": bool,
    "String": str,
    "UnixTimestamp": datetime,
}


class Hostile:
    """Raises whatever is asked of it."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("__class__", "__mro__"):
            return object.__getattribute__(self, name)
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    __hash__ = None  # type: ignore[assignment]


class Unshowable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


class HostileMapping(Mapping[str, Any]):
    """Has every name, and no values."""

    def __getitem__(self, name: str) -> Any:
        raise Unshowable

    def __iter__(self) -> Any:
        return iter(["y", "z"])

    def __len__(self) -> int:
        return 2


def on_demand_view(
    function: Any, mode: Any, dtype: Any, singleton: bool = False, inputs: Any = None
) -> OnDemandView:
    spec = OnDemandViewSpec(
        name="v",
        mode=mode,
        singleton=singleton,
        inputs=(),
        request=(),
        features=(FieldSpec(name="y", dtype=dtype), FieldSpec(name="z", dtype="Int64")),
        file="views.py",
        definition="",
    )
    return OnDemandView(spec, inputs or {"n": "Int64"}, function)


def raised(error: BaseException) -> Any:
    raise error


odd_values = st.one_of(
    st.sampled_from(
        [
            *(
                None,
                True,
                False,
                0,
                1,
                2**31,
                2**63,
                -(2**63),
                2**200,
                0.5,
                1e300,
                float("nan"),
                float("inf"),
            ),
            *("", "a", "7", "\ud800", b"\xff", pd.NA, pd.NaT, pd.Timestamp(0), datetime.max, datetime.min),
            *(np.int64(3), np.float32(0.5), np.bool_(True), np.str_("s"), np.datetime64("2020-01-01"), 1j),
            *([], [1], [None], [[1]], ["a"], (1, 2), {1}, {"a": 1}, range(2), np.zeros(2), np.zeros((2, 2))),
            *(object(), Hostile(), int, np.array(5), np.array([1, 2], "M8[ns]"), itertools.count()),
        ]
    ),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
)
columns = st.one_of(
    st.lists(odd_values, min_size=ROWS, max_size=ROWS),
    st.lists(odd_values, max_size=5),
    st.lists(st.integers(-9, 9), min_size=ROWS, max_size=ROWS).map(np.array),
    st.lists(st.floats(), min_size=ROWS, max_size=ROWS).map(pd.Series),
    odd_values,
    st.builds(lambda: itertools.count()),
    st.builds(lambda: (n for n in range(ROWS))),
)
names = st.sampled_from(["y", "z", "v__y", "v__z", "x", "", 7, None, ("y", "z")])
outputs = st.one_of(
    odd_values,
    st.dictionaries(names, columns, max_size=4),
    st.fixed_dictionaries({"y": columns, "z": st.just([1, 2, 3])}),
    st.builds(pd.DataFrame, st.dictionaries(names, st.just([1, 2, 3]), max_size=3)),
    st.just(pd.DataFrame([[1, 2, 3]] * ROWS, columns=["y", "y", "z"])),
    st.just(pd.DataFrame([[1, 2]] * ROWS, columns=pd.MultiIndex.from_tuples([("y", "a"), ("z", "b")]))),
    st.builds(HostileMapping),
)


@tries(150)
@given(
    output=outputs,
    dtype=st.sampled_from(COMPUTED_TYPES),
    mode=st.sampled_from(["pandas", "python", "singleton"]),
)
def test_a_function_gives_features_of_the_declared_types_or_a_definition_error(output, dtype, mode):
    singleton = mode == "singleton"
    view = on_demand_view(lambda inputs: output, "python" if singleton else mode, dtype, singleton)
    refused = None
    try:
        computed = view.compute({"n": [1, 2, None]}, ROWS)
    except DefinitionError as error:
        refused = str(error)
    if refused is not None:
        assert refused.startswith("views.py: on demand feature view 'v': its function ")
        assert len(refused) < 1000
        return
    assert [*computed] == ["y", "z"]
    for name, kind in (("y", dtype), ("z", "Int64")):
        assert len(computed[name]) == ROWS
        assert all(value is None or is_of(kind, value) for value in computed[name])


def is_of(dtype: Any, value: Any) -> bool:
    element = element_type(dtype)
    if element is None:
        return type(value) is TYPES[dtype]
    return type(value) is list and all(type(item) is TYPES[element] for item in value)


@pytest.mark.parametrize("mode", ["pandas", "python"])
@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"), Unshowable(), SystemExit(3), RecursionError(), MemoryError(), StopIteration(),
        TypeError("x" * 10_000),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_whatever_a_function_raises_is_a_definition_error(mode: str, error: BaseException) -> None:
    view = on_demand_view(lambda inputs: raised(error), mode, "Int64")
    with pytest.raises(DefinitionError, match=f"its function raises {type(error).__name__}: ") as said:
        view.compute({"n": [1, 2, 3]}, ROWS)
    assert len(str(said.value)) < 1000


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (None, "gives nothing. Return a DataFrame, or a dict of columns"),
        ([1, 2, 3], "gives a list. Return a DataFrame"),
        ({}, "gives no 'y'. Known: none"),
        ({"y": 5, "z": [1, 2, 3]}, "gives an int for 'y'. Give a list with one value per row"),
        ({"y": "abc", "z": [1, 2, 3]}, "gives a str for 'y'"),
        ({"y": {1, 2, 3}, "z": [1, 2, 3]}, "gives a set for 'y'"),
        ({"y": {0: 1, 1: 2, 2: 3}, "z": [1, 2, 3]}, "gives a dict for 'y'"),
        ({"y": itertools.count(), "z": [1, 2, 3]}, "gives more values of 'y' for 3 rows. Give one per row"),
        (pd.DataFrame([[1, 2, 3]] * 3, columns=["y", "y", "z"]), "gives 'y' twice"),
        (pd.DataFrame({"y": [1], "z": [1]}), "gives 1 values of 'y' for 3 rows"),
    ],
)
def test_a_wrong_shape_is_said_as_it_is(output: Any, said: str) -> None:
    with pytest.raises(DefinitionError, match=f"view 'v': its function {said}"):
        on_demand_view(lambda inputs: output, "python", "Int64").compute({"n": [1, 2, 3]}, ROWS)


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (None, "gives nothing. Return a dict of one value per feature"),
        ([1], "gives a list. Return a dict"),
        ({"y": 1}, "gives no 'z'. Known: y"),
        ({"x": 1}, "gives no 'y'. Known: x"),
    ],
)
def test_of_a_row_a_function_gives_all_features_or_none_of_them(output: Any, said: str) -> None:
    view = on_demand_view(lambda row: output if row["n"] == 2 else {}, "python", "Int64", singleton=True)
    with pytest.raises(DefinitionError, match=f"its function {said}"):
        view.compute({"n": [1, 2, 3]}, ROWS)
    assert view.compute({"n": [1, 3]}, 2) == {"y": [None, None], "z": [None, None]}


def test_times_of_numpy_are_times_whatever_their_unit() -> None:
    moments = [datetime(2020, 1, 1, tzinfo=UTC), None, datetime(1969, 12, 31, 23, tzinfo=UTC)]
    for unit in ("s", "ms", "us", "ns"):
        array = np.array(["2020-01-01", "NaT", "1969-12-31T23:00"], f"M8[{unit}]")
        view = on_demand_view(lambda inputs, a=array: {"y": a, "z": [1] * 3}, "python", "UnixTimestamp")
        assert view.compute({"n": [1, 2, 3]}, ROWS)["y"] == moments


@pytest.mark.parametrize("value", ["x", 2**70, [1]])
def test_a_request_of_another_type_is_an_error_of_the_request(value: Any) -> None:
    view = on_demand_view(lambda df: df, "pandas", "Int64")
    with pytest.raises(RequestError, match="n: a value is no Int64") as said:
        view.compute({"n": [1, value, 3]}, ROWS)
    assert said.value.field == "n"


@pytest.mark.parametrize(("mode", "singleton"), [("pandas", False), ("python", False), ("python", True)])
def test_a_function_that_changes_its_inputs_changes_nothing_else(mode: str, singleton: bool) -> None:
    def spoil(inputs: Any) -> Any:
        lists, maps = (inputs["lists"], inputs["maps"])
        for each in [lists] if singleton else lists:
            each.append(9)
        for each in [maps] if singleton else maps:
            each["inner"].append(9)
        if mode == "python":
            inputs.clear()
        else:
            inputs["n"] = 7
        return {"y": 1, "z": 1} if singleton else {"y": [1, 1], "z": [1, 1]}

    inputs = {"n": [1, 2], "lists": [[1], [2]], "maps": [{"inner": [1]}, {"inner": [2]}]}
    before = copy.deepcopy(inputs)
    dtypes = {"n": "Int64", "lists": "Array(Int64)", "maps": "Map"}
    view = on_demand_view(spoil, mode, "Int64", singleton, dtypes)
    assert view.compute(inputs, 2) == {"y": [1, 1], "z": [1, 1]}
    assert inputs == before
