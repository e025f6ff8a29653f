"""The audit runs udfs by itself: the same rows, and every skew behind them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.audit.udfs import derive
from tests.support.audit_scene import Scene, assert_all_equal, counts_of, purchase, with_router
from tests.support.properties import tries
from tests.support.purchase_udfs import PANDAS, by_user, transforms, udf_plan
from tests.support.random_logs import logs, split_users

UDFS = with_router(udf_plan())


@tries(20)
@given(partitions=st.lists(logs(), min_size=1, max_size=3), data=st.data())
def test_nothing_is_different_behind_a_udf_whatever_it_filters_derives_or_fails_on(partitions, data):
    """On both sides of the shuffle; a record that one view's udf fails on is dead for the others too."""
    split_users(partitions)
    scene = Scene(UDFS, partitions, transforms=transforms(UDFS))
    users = [e.fields["user"] for log in partitions for e in log if e.fields and e.fields["user"] is not None]
    for _ in range(data.draw(st.integers(1, 15))):
        reader = data.draw(st.sampled_from([*scene.partitions, *scene.shards]))
        scene.step(reader, data.draw(st.integers(1, 9)))
        scene.predict(data.draw(st.sampled_from([*users, 77])), data.draw(st.sampled_from(["a", "b", ""])))
    assert_all_equal(scene.audit(udfs=PANDAS), scene)


def test_a_skew_behind_a_udf_is_found_where_it_is_and_nowhere_else():
    scene = Scene(UDFS, [[purchase(n, n % 2, 1000 + n) for n in range(20)]], transforms=transforms(UDFS))
    scene.drain(4)
    for user in (0, 1, 0):
        scene.predict(user, "a")
    assert_all_equal(scene.audit(udfs=PANDAS), scene)
    skewed = PANDAS | {"by_user": lambda df: by_user(df).assign(items=df["items"] * 4)}
    features = UDFS.stream_view("by_user").aggregations
    changed = [  # of equal values neither how many they are nor how they spread
        f"by_user__{a.feature}"
        for a in features
        if a.column == "items" and a.function in ("sum", "max", "last", "first", "p99", "last_2")
    ]
    assert len(changed) > 4
    assert counts_of(scene.audit(udfs=skewed), "different") == dict.fromkeys(changed, 3)


SOURCE = UDFS.sources[0]
EVENTS = [
    {"pos": 0, "f_user": 1, "f_amount": 1.5, "f_items": 1},
    {"pos": 1, "f_user": 1, "f_amount": 0.005, "f_items": 1},  # filtered
    {"pos": 2, "f_user": 2, "f_amount": 2.5, "f_items": 2},  # fails
    {"pos": 3, "f_user": 2, "f_amount": None, "f_items": None},
    {"pos": 4, "f_user": None, "f_amount": 4.5, "f_items": 1},  # without a join key
    {"pos": 5, "f_user": 1, "f_amount": 5.5, "f_items": 1, "broken": True},
    {"pos": 6, "f_user": 1, "f_amount": 6.5, "f_items": 1, "event_ms": 10**9},  # from the future
]


def events(rows: list[dict[str, Any]]) -> pa.Table:
    plain = {
        "part": 3, "appended": 50, "mark": None, "broken": False, "event_ms": 40, "f_shop": "a",
        "f_event_ms": 40, "f_note": "n",
    }  # fmt: skip
    types = {"mark": pa.int64(), "f_user": pa.int64(), "f_amount": pa.float64(), "f_items": pa.int64()}
    columns = {name: [(plain | row)[name] for row in rows] for name in plain | rows[0]}
    return pa.table({name: pa.array(values, types.get(name)) for name, values in columns.items()})


def test_each_event_is_kept_with_its_derived_columns_or_dropped_or_has_failed() -> None:
    plan = UDFS.model_copy(update={"stream_views": (UDFS.stream_view("by_user"),)})
    derived = derive(plan, SOURCE, events(EVENTS), PANDAS)
    rows = sorted(derived.rows["by_user"].to_pylist(), key=lambda row: row["pos"])
    assert [(row["part"], row["pos"], row["f_amount"], row["f_items"]) for row in rows] == [
        (3, 0, 3.0, 3),
        (3, 3, None, None),
    ]
    assert derived.failed.to_pylist() == [{"part": 3, "pos": 2}]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda df: df["items"],
        lambda df: df.reset_index(),
        lambda df: pd.concat([df, df]),
        lambda df: df.assign(user=df["user"] + 1),
        lambda df: df.drop(columns=["items"]),
        lambda df: df.assign(items=0.5),
        lambda df: df.assign(shop="a" * 1025),
        lambda df: df.set_axis(df.index + 100),
    ],
)
def test_a_result_that_no_udf_may_have_is_a_failure_of_each_event(wrong: Any) -> None:
    plan = UDFS.model_copy(update={"stream_views": (UDFS.stream_view("by_user"),)})
    derived = derive(plan, SOURCE, events(EVENTS[:2]), {"by_user": wrong})
    assert derived.rows["by_user"].num_rows == 0
    assert sorted(row["pos"] for row in derived.failed.to_pylist()) == [0, 1]
