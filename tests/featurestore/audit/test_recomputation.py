"""Vectors recomputed by SQL from a few accepted events, against figures worked out by hand."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa
import pytest

from headrace.featurestore.audit.event_sql import accepted_events
from headrace.featurestore.audit.log_prefixes import ServedVector
from headrace.featurestore.audit.read_views import ReadView
from headrace.featurestore.audit.recomputation import RecomputedVector, recompute
from headrace.schemas.feature_specs import AggregationSpec, StreamViewSpec
from tests.support.audit_scene import audited_plan
from tests.support.join_builders import a_prediction

PLAN = audited_plan()
EVENTS = [  # (offset, user, event time, amount, items)
    (0, 1, 1000, 1.5, 3),
    (1, 1, 1010, 0.25, None),
    (2, 2, 1020, 9.0, 9),
    (3, 1, 1019, None, 5),
    (4, 1, 1055, 4.0, 1),
]


def view_of(function: str, column: str, dtype: Any, window_ms: int = 60, hop_ms: int = 10) -> StreamViewSpec:
    aggregation = AggregationSpec(
        feature="f",
        function=function,
        column=column,
        window_ms=window_ms,
        hop_ms=hop_ms,
        dtype=dtype,
        quantum=0.25 if column == "amount" else 1.0,
    )
    return PLAN.stream_view("by_user").model_copy(update={"aggregations": (aggregation,)})


def recomputed(view: StreamViewSpec, *asked: tuple[Any, int, int | None]) -> list[RecomputedVector]:
    """Of users, by the log up to an offset, as of a time."""
    source = PLAN.sources[0]
    log = pa.table(
        {
            "part": [0] * len(EVENTS), "pos": [event[0] for event in EVENTS],
            "appended": [1100] * len(EVENTS),
            "mark": pa.nulls(len(EVENTS), pa.int64()), "broken": [False] * len(EVENTS),
            "event_ms": [event[2] for event in EVENTS], "f_user": [event[1] for event in EVENTS],
            "f_shop": ["a"] * len(EVENTS), "f_amount": [event[3] for event in EVENTS],
            "f_items": [event[4] for event in EVENTS],
        }
    )  # fmt: skip
    vectors = [
        ServedVector(a_prediction("p", "k", 0, entities={"user": user}), {0: next_offset}, as_of_ms)
        for user, next_offset, as_of_ms in asked
    ]
    with duckdb.connect() as database:
        database.register("log", log)
        database.execute(accepted_events(PLAN, source))
        found = recompute(database, ReadView.of(view), vectors)
    return [found[number] for number in range(len(vectors))]


@pytest.mark.parametrize(
    ("function", "column", "dtype", "value"),
    [
        ("count", "amount", "Int64", 3),
        ("sum", "amount", "Float64", 5.75),
        ("sum", "items", "Int64", 9),
        ("mean", "items", "Float64", 3.0),
        ("min", "amount", "Float64", 0.25),
        ("max", "items", "Int64", 5),
        ("first", "items", "Int64", 3),
        ("last", "amount", "Float64", 4.0),
        ("var", "items", "Float64", 4.0),
        ("var_pop", "items", "Float64", 8 / 3),
        ("std", "items", "Float64", 2.0),
        ("std_pop", "items", "Float64", (8 / 3) ** 0.5),
        ("count_distinct", "items", "Int64", 3),
        ("p50", "items", "Float64", 3),
        ("p99", "items", "Float64", 3),  # at rank (3 - 1) * 99 // 100 of 1, 3 and 5
        ("last_2", "items", "Array(Int64)", [1, 5]),
    ],
)
def test_every_function(function: str, column: str, dtype: Any, value: Any) -> None:
    (vector,) = recomputed(view_of(function, column, dtype), (1, 5, None))
    assert vector.clock_ms == 1055
    assert vector.values == (pytest.approx(value, rel=1e-12),)


def test_the_window_is_that_of_the_clock_and_the_prefix() -> None:
    count = view_of("count", "items", "Int64", window_ms=40, hop_ms=10)
    assert recomputed(count, (1, 5, None), (1, 4, None), (1, 5, 1070), (1, 5, 2000), (7, 5, None)) == [
        RecomputedVector(1055, (2,)),  # from 1010 on, where items are null
        RecomputedVector(1020, (2,)),
        RecomputedVector(1070, (1,)),
        RecomputedVector(2000, (0,)),
        RecomputedVector(1055, (0,)),
    ]


def test_nothing_was_read() -> None:
    assert recomputed(view_of("count", "items", "Int64"), (1, 0, None)) == [RecomputedVector(None, (0,))]


@pytest.mark.parametrize("user", ["one", 2**70, 1.5, None])
def test_a_key_that_no_request_brings_is_nobodys_and_the_others_are_recomputed(user: Any) -> None:
    nobody, one = recomputed(view_of("count", "items", "Int64"), (user, 5, None), (1, 5, None))
    assert (nobody.values, one.values) == ((0,), (3,))


def test_a_lifetime_has_no_first_event() -> None:
    ever = view_of("sum", "items", "Int64", window_ms=0, hop_ms=0)
    assert recomputed(ever, (1, 5, 10**12)) == [RecomputedVector(10**12, (9,))]
