"""Parts of a plan in words."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.featurestore.plans.spec_text import aggregation_text, column_text, field_change, value_text
from headrace.schemas.feature_specs import ColumnSpec, FieldSpec, UdfSpec
from tests.support.usage_plan import SPENT

HOURS = ColumnSpec(name="hours", kind="double")
UDF = UdfSpec(source="def f(df): return df", inputs=(HOURS,), outputs=(HOURS,))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        ("text", "text"),
        (0.5, "0.5"),
        (("a", "b"), "a, b"),
        ((), ""),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 60 + "..."),
        (FieldSpec(name="n", dtype="Int64"), "{'name': 'n', 'dtype': 'Int64'}"),
        (UDF, f"{UDF.digest} of hours"),
    ],
)
def test_a_value_is_shown_as_it_is_and_cut_where_it_is_long(value: Any, text: str) -> None:
    assert value_text(value) == text


@pytest.mark.parametrize(
    ("field", "before", "after", "text"),
    [
        ("topic", "a", "b", "topic: a -> b"),
        ("key_field", None, "user", "key_field: none -> user"),
        ("window_ms", 0, 3_600_000, "window: lifetime -> 1:00:00"),
        ("ttl_ms", 86_400_000, 0, "ttl: 1 day -> none"),
        ("hop_ms", 0, 90_000, "hop: 0:00:00 -> 0:01:30"),
        ("definition", "0123456789abcdef", "fedcba9876543210", "definition: 0123456789ab -> fedcba987654"),
    ],
)
def test_a_change_is_shown_in_the_unit_of_the_field(field: str, before: Any, after: Any, text: str) -> None:
    assert field_change(field, before, after) == text


def test_of_a_udf_only_what_differs_is_shown() -> None:
    other = UDF.model_copy(update={"source": "def f(df): return df[:9]"})
    assert field_change("udf", UDF, other) == f"udf: text {UDF.digest} -> {other.digest}"
    narrower = UDF.model_copy(update={"inputs": ()})
    assert field_change("udf", UDF, narrower) == "udf: takes hours: double or null -> nothing"


def test_a_column_says_whether_it_may_be_null() -> None:
    assert column_text(HOURS) == "hours: double or null"
    assert column_text(HOURS.model_copy(update={"nullable": False})) == "hours: double"


def test_a_window_of_a_lifetime_is_named() -> None:
    lifetime = SPENT.model_copy(update={"window_ms": 0, "hop_ms": 0})
    assert aggregation_text(lifetime) == "sum of items over its lifetime (keys are never forgotten)"
