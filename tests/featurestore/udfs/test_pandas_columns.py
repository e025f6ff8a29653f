"""Columns of records in pandas and back: one dtype whatever the values, and nothing lost on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.udfs.pandas_columns import from_pandas, kind_of, to_datetimes, to_pandas
from headrace.schemas.avro import Column
from headrace.schemas.errors import RecordError
from headrace.schemas.feature_specs import ColumnKind, ColumnSpec

VALUES: dict[ColumnKind, st.SearchStrategy[Any]] = {
    "long": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False),
    "boolean": st.booleans(),
    "string": st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9),
}
DTYPES: dict[tuple[ColumnKind, bool], str] = {
    ("long", False): "int64",
    ("long", True): "Int64",
    ("double", False): "float64",
    ("double", True): "float64",
    ("boolean", False): "bool",
    ("boolean", True): "boolean",
    ("string", False): "object",
    ("string", True): "object",
}


def column_of(kind: ColumnKind, values: list[Any]) -> Column:
    valid = np.array([value is not None for value in values], np.bool_)
    empty: Any = {"long": 0, "double": 0.0, "boolean": False, "string": ""}[kind]
    filled = [empty if value is None else value for value in values]
    if kind == "string":
        return Column(np.array([text.encode() for text in filled], np.bytes_), valid)
    types: Any = {"long": np.int64, "double": np.float64, "boolean": np.bool_}
    return Column(np.array(filled, types[kind]), valid)


def values_of(column: Column) -> list[Any]:
    pairs = zip(column.values.tolist(), column.valid.tolist(), strict=True)
    values = [value if valid else None for value, valid in pairs]
    return [value.decode() if isinstance(value, bytes) else value for value in values]


@pytest.mark.parametrize("nullable", [False, True])
@pytest.mark.parametrize("kind", VALUES)
@given(data=st.data())
def test_values_come_back_and_the_dtype_does_not_depend_on_them(
    kind: ColumnKind, nullable: bool, data: st.DataObject
) -> None:
    of_kind = st.none() | VALUES[kind] if nullable else VALUES[kind]
    values = data.draw(st.lists(of_kind, max_size=8))
    series = pd.Series(to_pandas(column_of(kind, values), ColumnSpec(name="x", kind=kind, nullable=nullable)))
    assert str(series.dtype) == DTYPES[kind, nullable]
    assert values_of(from_pandas(series, kind)) == values


@pytest.mark.parametrize(
    ("series", "kind"),
    [
        (pd.Series([1, 2]), "long"),
        (pd.Series([1, 2], dtype="uint8"), "long"),
        (pd.Series([1, None], dtype="Int32"), "long"),
        (pd.Series([1.5, None]), "double"),
        (pd.Series([True, None], dtype="boolean"), "boolean"),
        (pd.Series(["a", None], dtype="string"), "string"),
        (pd.Series([1, 2.5, None], dtype=object), "double"),
        (pd.Series([1, None], dtype=object), "long"),
        (pd.Series([np.bool_(True)], dtype=object), "boolean"),
        (pd.Series([None, None], dtype=object), None),
        (pd.Series([], dtype=object), None),
    ],
)
def test_a_result_is_of_the_kind_of_its_values(series: Any, kind: ColumnKind | None) -> None:
    assert kind_of(series) == kind


@pytest.mark.parametrize(
    ("series", "said"),
    [
        (pd.Series([pd.Timestamp(0)], name="x"), "'x' of its result has dtype datetime64.*number, text"),
        (pd.Series([1, "a"], name="x"), "holds long and string; make it one of them"),
        (pd.Series([[1]], name="x"), "holds a list"),
        (pd.Series(["a"], name="x", dtype="category"), "has dtype category"),
    ],
)
def test_a_result_of_no_kind_is_refused(series: Any, said: str) -> None:
    with pytest.raises(RecordError, match=said):
        kind_of(series)


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("nulls", [[None, None], [np.nan, np.nan], pd.array([pd.NA] * 2, "Int64"), []])
def test_nothing_but_nulls_is_of_any_kind(kind: ColumnKind, nulls: Any) -> None:
    assert values_of(from_pandas(pd.Series(nulls), kind)) == [None] * len(nulls)


@pytest.mark.parametrize(
    ("series", "kind", "values"),
    [
        (pd.Series([1.0, None, 3.0]), "long", [1, None, 3]),  # what pandas makes of whole numbers with a null
        (pd.Series([1, 2]), "double", [1.0, 2.0]),
        (pd.Series([1.5, np.nan]), "double", [1.5, None]),
        (pd.Series([2**63 - 1], dtype="uint64"), "long", [2**63 - 1]),
        (pd.Series([7, 8], index=[5, 5]), "long", [7, 8]),
    ],
)
def test_a_result_may_be_of_another_dtype(series: Any, kind: ColumnKind, values: list[Any]) -> None:
    assert values_of(from_pandas(series, kind)) == values


@pytest.mark.parametrize(
    ("series", "kind", "said"),
    [
        (pd.Series([1.5], name="x"), "long", r"holds np.float64\(1.5\), which is no whole number"),
        (pd.Series([2.0**53, None], name="x"), "long", "holds .*, which is no whole number below"),
        (pd.Series([2**63], name="x", dtype="uint64"), "long", "holds .*, which does not fit int64"),
        (pd.Series(["a"], name="x"), "long", "is string, and was long when the plan was made"),
        (pd.Series([True], name="x"), "double", "is boolean, and was double"),
        (pd.Series(["\ud800"], name="x"), "string", "holds text that is no Unicode"),
        (pd.Series(["a\0"], name="x"), "string", "holds text of 2 bytes; .*without NUL behind"),
        (pd.Series(["a" * 70_000], name="x"), "string", "holds text of 70000 bytes; at most"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(series: Any, kind: ColumnKind, said: str) -> None:
    with pytest.raises(RecordError, match=f"column 'x' of its result {said}"):
        from_pandas(series, kind)


@pytest.mark.parametrize("unit", ["ms", "us"])
def test_event_times_keep_their_unit(unit: Any) -> None:
    times = to_datetimes(np.array([0, 1_357_041_600_123]), unit)
    assert str(times.dtype) == f"datetime64[{unit}, UTC]"
    assert times[1].value // {"ms": 10**6, "us": 10**3}[unit] == 1_357_041_600_123
