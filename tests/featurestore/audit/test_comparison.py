"""A served value is equal to the last bit, or within the stated error of its function."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.featurestore.audit.comparison import Comparison, compare, is_exact
from headrace.schemas.feature_specs import AggregationSpec


def a(function: str, precision: int = 10) -> AggregationSpec:
    return AggregationSpec(
        feature="f",
        function=function,
        column="c",
        window_ms=60,
        hop_ms=10,
        dtype="Float64",
        precision=precision,
    )


@pytest.mark.parametrize(
    ("function", "served", "recomputed", "equal"),
    [
        ("mean", 2.5, 2.5, True),
        ("mean", 2.5, 2.5000000000000004, False),
        ("last", None, None, True),
        ("last", None, 0.0, False),
        ("last", 0.0, None, False),
        ("sum", 0, 0.0, True),
        ("var", 1.0, 1.0 + 1e-10, True),
        ("std_pop", 1.0, 1.0 + 1e-8, False),
        ("count_distinct", 102, 100, True),  # two of a few are within its error
        ("count_distinct", 1_130, 1_000, True),  # four standard errors of 3.25 %
        ("count_distinct", 1_131, 1_000, False),
        ("p90", 105.9, 100.0, True),
        ("p90", -106.1, -100.0, False),
        ("p50", 0.0, 0.0, True),
    ],
)
def test_what_is_equal(function: str, served: Any, recomputed: Any, equal: bool) -> None:
    found = compare(a(function), True, served, recomputed)
    assert found == (Comparison(served, "equal") if equal else Comparison(recomputed, "different"))


def test_a_coarser_sketch_may_be_further_off() -> None:
    assert compare(a("count_distinct", precision=6), True, 1_400, 1_000).outcome == "equal"


@pytest.mark.parametrize("nothing", [None, 0])
def test_where_there_was_no_row_only_a_value_is_missing(nothing: int | None) -> None:
    assert compare(a("count"), False, None, nothing) == Comparison(None, "equal")
    assert compare(a("count"), False, None, 3) == Comparison(3, "missing")
    assert compare(a("count"), False, 3, nothing) == Comparison(nothing, "missing")


def test_sketches_and_spreads_are_not_recomputed_exactly() -> None:
    exact = [name for name in ("count", "sum", "mean", "min", "last", "first", "last_3") if is_exact(a(name))]
    assert exact == ["count", "sum", "mean", "min", "last", "first", "last_3"]
    assert not any(
        is_exact(a(name)) for name in ("count_distinct", "p50", "var", "var_pop", "std", "std_pop")
    )


@pytest.mark.parametrize("function", ["count", "count_distinct", "p50", "std", "sum"])
@pytest.mark.parametrize("served", ["x", [1]])
def test_what_is_no_number_is_different(function: str, served: Any) -> None:
    assert compare(a(function), True, served, 3).outcome == "different"
