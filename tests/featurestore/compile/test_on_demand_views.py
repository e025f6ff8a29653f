"""What `compile_features` makes of on-demand feature views, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.schemas.feature_specs import FeatureRef, FieldSpec
from tests.support.edits import Append, Replace, objection, refusal

ON_DEMAND = """
from feast.on_demand_feature_view import on_demand_feature_view
from feast import RequestSource

asked = RequestSource(name="asked", schema=[Field(name="seats_wanted", dtype=Int64)])

@on_demand_feature_view({options})
def doubled(df):
    return df

more = FeatureService(name="more", features=[doubled, airlines[["fleet"]]])
"""


def test_on_demand_view_takes_inputs_from_views_and_the_request(repo: Path, append: Append) -> None:
    append(ON_DEMAND.format(options="sources=[airlines, asked], schema=[Field(name='d', dtype=Float64)]"))
    parts = compile_features(repo)
    (view,) = parts.on_demand_views
    assert view.name == "doubled"
    assert (view.mode, view.singleton, view.file) == ("pandas", False, "features.py")
    assert {ref.feature for ref in view.inputs} == {"full_name", "fleet", "share", "founded", "alliance"}
    assert view.request == (FieldSpec(name="seats_wanted", dtype="Int64"),)
    assert view.features == (FieldSpec(name="d", dtype="Float64"),)
    more = parts.plan().service("more").features
    assert more == (FeatureRef(view="doubled", feature="d"), FeatureRef(view="airlines", feature="fleet"))


def test_another_function_is_another_definition(repo: Path, append: Append, replace: Replace) -> None:
    append(ON_DEMAND.format(options="sources=[airlines], schema=[Field(name='d', dtype=Float64)]"))
    before = compile_features(repo).plan()
    replace("    return df\n", "    return 2 * df\n")
    assert compile_features(repo).plan().hash != before.hash


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("sources=[airlines], schema=[]", "no features"),
        (
            "sources=[airlines, RequestSource(name='r', schema=[Field(name='fleet', dtype=Int32)])], "
            "schema=[Field(name='d', dtype=Float64)]",
            "two of its inputs are called 'fleet'",
        ),
        (
            "sources=[airlines], schema=[Field(name='d', dtype=Float64)], tags={'headrace.key': 'd'}",
            "tag 'headrace.key' means nothing",
        ),
        (
            "sources=[FeatureView(name='offline', entities=[carrier], online=False, "
            "schema=[Field(name='x', dtype=Int64)], source=airlines.batch_source)], "
            "schema=[Field(name='d', dtype=Float64)]",
            "there is no view 'offline'",
        ),
    ],
)
def test_refuses_on_demand_views_it_cannot_compute(
    repo: Path, append: Append, options: str, said: str
) -> None:
    append(ON_DEMAND.format(options=options))
    assert said in str(refusal(repo))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("sources=[airlines], schema=[Field(name='d', dtype=Float64)], write_to_online_store=True", "store"),
        (
            "sources=[airlines], schema=[Field(name='d', dtype=__import__('feast').types.Set(Int64))]",
            "its feature 'd' is Set(Int64), which functions cannot compute yet",
        ),
        (
            "sources=[airlines.with_name('carriers')], schema=[Field(name='d', dtype=Float64)]",
            "it renames view 'airlines' or its join keys",
        ),
    ],
)
def test_leaves_out_what_feast_computes_and_it_does_not(
    repo: Path, append: Append, options: str, said: str
) -> None:
    append(ON_DEMAND.format(options=options))
    assert said in str(objection(repo))
