"""The stream engine against SQL: exact where SQL is, within the stated error where a sketch is not."""

from __future__ import annotations

import math
import sys

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.streams.aggregations import AGGREGATIONS
from tests.support.aggregation_states import over
from tests.support.duckdb_oracle import EXPRESSIONS, DuckDbOracle
from tests.support.expected_rows import is_empty, record_of
from tests.support.properties import tries
from tests.support.purchases import EVERY, purchases_plan
from tests.support.random_logs import kept, logs, split_users
from tests.support.stream_driver import StreamDriver


def near(function: str, got: float | None, want: float | None) -> bool:
    if got is None or want is None:
        return got is want
    if function == "count_distinct":
        return abs(got - want) <= max(2, 4 * 1.04 / 8 * want)  # 2^6 registers
    if function[0] == "p":
        return abs(got - want) <= abs(want) / 129 * (1 + 1e-12) + sys.float_info.min
    if function.startswith(("var", "std")):  # rounded more than once in SQL
        return math.isclose(got, want, rel_tol=1e-12)
    return got == want


@tries(40)
@given(partitions=st.lists(logs(), min_size=1, max_size=3), most=st.sampled_from([1, 4, 100]), ever=kept)
def test_every_online_value_is_what_sql_says(partitions, most, ever):
    split_users(partitions)
    plan = purchases_plan(ever=ever)
    driver = StreamDriver(plan, plan.sources[0], [[record_of(e) for e in log] for log in partitions])
    driver.drain(most)
    expected = DuckDbOracle(plan, partitions).rows()
    assert driver.online.keys() <= expected.keys()
    functions = {a.feature: a.function for view in plan.stream_views for a in view.aggregations}
    for key, want in expected.items():
        got = driver.online.get(key)
        if got is None:
            assert is_empty(want), f"{key}: no row, expected {want}"
            continue
        for name, value in want.items():
            assert near(functions[name], got[name], value), f"{key} {name}: {got[name]} != {value}"


def test_sql_has_an_expression_for_every_function_that_is_no_percentile():
    assert {name for name in AGGREGATIONS if not name[-1:].isdigit()} == EXPRESSIONS.keys()
    assert {name for name, *_ in EVERY} <= AGGREGATIONS.keys()


@pytest.mark.parametrize(
    ("function", "sql"),
    [("var", "var_samp"), ("std", "stddev_samp"), ("var_pop", "var_pop"), ("std_pop", "stddev_pop")],
)
def test_variances_are_those_of_sql_by_their_names(function, sql):
    numbers = np.random.default_rng(3).normal(40, 9, 1000).round(2)
    table = duckdb.connect()
    table.execute("CREATE TABLE t AS SELECT unnest(?) AS x", [numbers.tolist()])
    ((want,),) = table.execute(f"SELECT {sql}(x) FROM t").fetchall()
    assert over(function, numbers) == pytest.approx(want, rel=1e-12)
