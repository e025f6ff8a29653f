"""A udf in pandas mode: the frame it is given, and what of its result is taken or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headrace.featurestore.udfs.pandas_udf import PandasUdf
from headrace.schemas.avro import Column
from headrace.schemas.errors import RecordError
from headrace.schemas.feature_specs import ColumnSpec, UdfSpec
from headrace.streams.intake.udf import Transformed

OFFSETS = np.array([10, 11, 14, 15])
WHOLE = np.ones(4, np.bool_)
COLUMNS = {
    "user": Column(np.array([1, 2, 1, 3]), WHOLE),
    "at": Column(np.array([1000, 2000, 3000, 4000]), WHOLE),
    "amount": Column(np.array([1.5, 0.0, 2.5, 3.5]), np.array([True, False, True, True])),
    "note": Column(np.array([b"a", b"b", b"c", b"d"]), WHOLE),
}
SPEC = UdfSpec(
    source="",
    inputs=(
        ColumnSpec(name="user", kind="long", nullable=False),
        ColumnSpec(name="at", kind="long", nullable=False),
        ColumnSpec(name="amount", kind="double"),
        ColumnSpec(name="note", kind="string"),
    ),
    outputs=(ColumnSpec(name="amount", kind="double"),),
)


def apply(function: Callable[[Any], Any], spec: UdfSpec = SPEC) -> Transformed:
    return PandasUdf(function, spec, ["user"], "at", "ms").apply(OFFSETS, COLUMNS)  # type: ignore[arg-type]


def test_the_frame_has_a_row_per_record_and_the_columns_that_the_udf_takes() -> None:
    frames: list[pd.DataFrame] = []

    def udf(df: pd.DataFrame) -> pd.DataFrame:
        frames.append(df.copy())
        return df

    apply(udf)
    (frame,) = frames
    assert (frame.index.name, frame.index.tolist()) == ("offset", OFFSETS.tolist())
    assert list(frame.columns) == ["user", "at", "amount", "note"]
    assert frame["at"].dt.second.tolist() == [1, 2, 3, 4]
    assert frame["amount"].isna().tolist() == [False, True, False, False]


def test_a_filter_gives_the_positions_of_the_rows_that_pass() -> None:
    made = apply(lambda df: df[df["amount"] > 2])
    assert made.rows.tolist() == [2, 3]
    assert made.columns["amount"].values.tolist() == [2.5, 3.5]


def test_rows_in_another_order_are_put_back() -> None:
    made = apply(lambda df: df[df["note"] != "b"].sort_values("note", ascending=False))
    assert made.rows.tolist() == [0, 2, 3]
    assert made.columns["amount"].values.tolist() == [1.5, 2.5, 3.5]


def test_columns_that_are_not_aggregated_are_not_taken() -> None:
    assert list(apply(lambda df: df.assign(more=pd.Timestamp(0))).columns) == ["amount"]


@pytest.mark.parametrize("nothing", [lambda df: df[df["amount"] > 99], lambda df: pd.DataFrame()])
def test_no_row_may_be_left(nothing: Callable[[Any], Any]) -> None:
    made = apply(nothing)
    assert made.rows.tolist() == []
    assert made.columns["amount"].values.tolist() == []


def test_what_the_udf_does_to_its_frame_does_not_reach_the_records() -> None:
    def udf(df: pd.DataFrame) -> pd.DataFrame:
        df.loc[:, "amount"] = -1.0
        df["note"] = ""
        return df

    assert apply(udf).columns["amount"].values.tolist() == [-1.0] * 4
    assert COLUMNS["amount"].values.tolist() == [1.5, 0.0, 2.5, 3.5]
    assert COLUMNS["note"].values.tolist() == [b"a", b"b", b"c", b"d"]


def test_a_column_that_is_derived_is_of_the_kind_that_the_plan_has() -> None:
    spec = SPEC.model_copy(update={"outputs": (ColumnSpec(name="twice", kind="long"),)})
    made = apply(lambda df: df.assign(twice=df["user"] * 2), spec)
    assert made.columns["twice"].values.tolist() == [2, 4, 2, 6]
    with pytest.raises(RecordError, match=r"column 'twice'.*no whole number"):
        apply(lambda df: df.assign(twice=df["user"] / 4), spec)


@pytest.mark.parametrize(
    ("udf", "said"),
    [
        (lambda df: df["amount"], "its result is a Series, not a DataFrame"),
        (lambda df: None, "its result is a NoneType, not a DataFrame"),
        (lambda df: df[["amount", "amount"]], "two columns of one name"),
        (lambda df: df[["note"]], "its result has no column 'amount'"),
        (lambda df: df.reset_index(), "lost the index 'offset'"),
        (lambda df: df.rename_axis("row"), "lost the index 'offset'"),
        (lambda df: df.set_index(df.index.astype("float64")), "lost the index 'offset'"),
        (lambda df: df.set_index(df.index + 1), "rows that are none of the records"),
        (lambda df: pd.concat([df, df]), "a record twice"),
        (lambda df: df.assign(user=0), "changes 'user', a join key or the event time"),
        (lambda df: df.assign(user=df["user"].astype(float).where(df["user"] > 1)), "changes 'user'"),
        (lambda df: df.assign(at=df["at"].dt.floor("h")), "changes 'at'"),
        (lambda df: df.assign(at=df["at"].dt.tz_localize(None)), "changes 'at'"),
        (lambda df: df.assign(at=0), "changes 'at'"),
    ],
)
def test_a_result_that_cannot_be_told_apart_or_changes_what_is_fixed_is_refused(
    udf: Callable[[Any], Any], said: str
) -> None:
    with pytest.raises(RecordError, match=said):
        apply(udf)


def test_a_fixed_column_may_be_left_out_or_given_back_in_another_dtype() -> None:
    assert apply(lambda df: df[["amount"]]).rows.tolist() == [0, 1, 2, 3]
    assert apply(lambda df: df.assign(user=df["user"].astype("Int64"))).rows.tolist() == [0, 1, 2, 3]


def test_an_error_of_the_udf_is_its_own() -> None:
    with pytest.raises(KeyError, match="absent"):
        apply(lambda df: df["absent"])
