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
            "it reads view 'airlines' as 'carriers', which Feast cannot read",
        ),
        (
            "sources=[airlines, RequestSource(name='r', schema=[Field(name='fleet', dtype=Int32)])], "
            "schema=[Field(name='d', dtype=Float64)]",
            "feature 'airlines:fleet' and a field of its request under the name 'fleet'",
        ),
        (
            "sources=[asked, RequestSource(name='r', schema=[Field(name='seats_wanted', dtype=Int32)])], "
            "schema=[Field(name='d', dtype=Float64)]",
            "'seats_wanted' of the request is both Int64 and Int32",
        ),
    ],
)
def test_leaves_out_what_feast_computes_and_it_does_not(
    repo: Path, append: Append, options: str, said: str
) -> None:
    append(ON_DEMAND.format(options=options))
    assert said in str(objection(repo))


def test_inputs_of_one_name_and_by_other_columns_are_kept_apart(repo: Path, append: Append) -> None:
    append("""
        fleets = FeatureView(
            name="fleets", entities=[carrier], schema=[Field(name="fleet", dtype=Int64)],
            source=FileSource(name="fleets_table", path="f.parquet", timestamp_field="at"),
        )
        """)
    sources = "[airlines[['fleet']], fleets.with_join_key_map({'carrier': 'other'}), asked, asked]"
    append(ON_DEMAND.format(options=f"sources={sources}, schema=[Field(name='d', dtype=Float64)]"))
    plan = compile_features(repo).plan()
    (view,) = plan.on_demand_views
    assert view.inputs == (
        FeatureRef(view="airlines", feature="fleet"),
        FeatureRef(view="fleets", feature="fleet", join_key_map=(("carrier", "other"),)),
    )
    assert [key.name for key in plan.request_keys(plan.service("more").features)] == ["carrier", "other"]


def test_a_service_that_reads_a_view_otherwise_than_its_on_demand_view_is_left_out(
    repo: Path, append: Append
) -> None:
    """Feast reads both by the columns of the one that comes first."""
    sources = "sources=[airlines.with_join_key_map({'carrier': 'other'})]"
    append(ON_DEMAND.format(options=f"{sources}, schema=[Field(name='d', dtype=Float64)]"))
    said = "'airlines:fleet' and feature 'airlines:fleet by carrier=other' are both called 'airlines__fleet'"
    assert said in str(objection(repo))
