"""Aggregations of a stream view: windows, types, quanta and names of its features."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.featurestore.compile.features import compile_features
from tests.support.edits import Replace, refusal

MINUTE = 60_000
HOUR = 60 * MINUTE


def test_features_take_windows_and_types_from_the_aggregations(repo: Path) -> None:
    (view,) = compile_features(repo).stream_views
    n, mean, seats = view.aggregations
    assert (n.feature, n.function, n.column, n.window_ms, n.hop_ms) == (
        "n_1h",
        "count",
        "flight",
        HOUR,
        5 * MINUTE,
    )
    assert (mean.dtype, mean.quantum) == ("Float64", 0.01)
    assert (seats.window_ms, seats.hop_ms, seats.quantum) == (24 * HOUR, 24 * HOUR, 1.0)


def test_quantum_of_a_floating_column_defaults_to_a_millionth(repo: Path, replace: Replace) -> None:
    replace('tags={"headrace.quantum": "dep_delay=0.01"},', "")
    assert [a.quantum for a in compile_features(repo).stream_views[0].aggregations] == [1.0, 1e-6, 1.0]


def test_without_a_time_window_a_feature_is_over_the_lifetime_of_its_key(
    repo: Path, replace: Replace
) -> None:
    replace('function="max", time_window=timedelta(days=1)', 'function="max"')
    seats = compile_features(repo).stream_views[0].aggregations[2]
    assert (seats.window_ms, seats.hop_ms) == (0, 0)


@pytest.mark.parametrize(
    ("column", "function", "element"),
    [("note", "last_3", "String"), ("dep_delay", "last_1", "Float64"), ("seats", "last_100", "Int64"),
     ("flight", "last_10", "Int32")],
)  # fmt: skip
def test_the_last_k_values_are_an_array_of_the_type_of_the_column(
    repo: Path, replace: Replace, column: str, function: str, element: str
) -> None:
    replace('column="seats", function="max"', f'column="{column}", function="{function}"')
    array = f'dtype=__import__("feast").types.Array({element})'
    replace('name="seats_max_1d", dtype=Int64', f'name="seats_max_1d", {array}')
    last = compile_features(repo).stream_views[0].aggregations[2]
    assert (last.function, last.dtype) == (function, f"Array({element})")


def test_feature_name_defaults_to_the_name_feast_gives(repo: Path, replace: Replace) -> None:
    replace(', name="seats_max_1d"', "")
    replace('Field(name="seats_max_1d"', 'Field(name="max_seats_86400s"')
    assert compile_features(repo).stream_views[0].aggregations[2].feature == "max_seats_86400s"


def test_precision_is_that_of_the_tag(repo: Path, replace: Replace) -> None:
    replace('"headrace.quantum": "dep_delay=0.01"', '"headrace.precision": "12"')
    assert {a.precision for a in compile_features(repo).stream_views[0].aggregations} == {12}


def test_a_quantum_that_is_no_number_is_refused(repo: Path, replace: Replace) -> None:
    replace("dep_delay=0.01", "dep_delay=small")
    error = refusal(repo)
    assert "'dep_delay=small' gives no quantum from" in str(error)
    assert error.name == "stream feature view 'carrier_delays', tag 'headrace.quantum'"
