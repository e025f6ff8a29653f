"""What a udf shows on samples: the kinds of its columns, and whether a row depends on others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from headrace.featurestore.compile.definition import Definition
from headrace.featurestore.compile.udf_trial import UdfTrial
from headrace.featurestore.udfs.pandas_udf import PandasUdf
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import ColumnSpec, UdfSpec

INPUTS = (
    ColumnSpec(name="user", kind="long", nullable=False),
    ColumnSpec(name="at", kind="long", nullable=False),
    ColumnSpec(name="amount", kind="double"),
    ColumnSpec(name="note", kind="string"),
)
DEFINITION = Definition("features.py", "udf 'f'")


def outputs(function: Callable[[Any], Any], *names: str) -> dict[str, str]:
    """The kinds of columns of a udf's results."""
    spec = UdfSpec(source="", inputs=INPUTS, outputs=())
    udf = PandasUdf(function, spec, ["user"], "at", "ms")  # type: ignore[arg-type]
    columns = UdfTrial(DEFINITION, udf, spec, ["user"]).outputs(names)
    return {column.name: column.kind for column in columns}


def test_kinds_are_those_of_the_results() -> None:
    def derived(df: Any) -> Any:
        return df.assign(
            n=df["note"].str.len().fillna(0).astype("int64"),
            big=df["amount"] > 1,
            text=df["note"].fillna("none"),
            share=df["user"] / 2,
        )

    kinds = {"n": "long", "big": "boolean", "text": "string", "share": "double", "amount": "double"}
    assert outputs(derived, *kinds) == kinds


def test_whole_numbers_in_some_rows_and_fractions_in_others_are_floating() -> None:
    def halved(df: Any) -> Any:
        df["x"] = df["user"] if len(df) == 1 else df["user"].astype("float64")
        return df

    assert outputs(halved, "x") == {"x": "double"}


def test_a_column_that_every_sample_leaves_empty_is_of_the_kind_it_was_given() -> None:
    assert outputs(lambda df: df[df["amount"] > 10**9], "amount", "note") == {
        "amount": "double",
        "note": "string",
    }


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (
            lambda df: df.assign(x=df["user"] if len(df) == 1 else df["user"].astype(str)),
            "column 'x' is long and string. Make it one of them",
        ),
        (lambda df: df, "it gives no column 'x', which an aggregation is of. Known: amount, at, note, user"),
        (lambda df: df[df["amount"] > 10**9], "it gives no column 'x'"),
        (
            lambda df: df.assign(x=df["gone"]),
            "it fails on every sample: KeyError: 'gone'. Correct it; it is given",
        ),
        (lambda df: df.assign(x=df["amount"].mean()), "it is not row-wise: a sample among others gave"),
        (lambda df: df.assign(x=1.0 / (len(df) > 1)), "alone it failed with ZeroDivisionError"),
        (
            lambda df: df.assign(x=df["note"].map({})[df["user"] > 10**9]).astype({"x": object}),
            "no sample passes",
        ),
        (lambda df: df.reset_index(drop=True), "has lost the index"),
    ],
)
def test_what_no_udf_may_do_is_refused(function: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        outputs(function, "x")
    assert said in str(refused.value)
