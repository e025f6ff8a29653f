"""Names of what is read together: two that are one name are told, and nothing else is."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.offline.arrow_rows import log_schema
from headrace.schemas.feature_names import LOG_COLUMNS, name_clash
from headrace.schemas.feature_specs import BatchViewSpec, FeatureRef, FieldSpec, OnDemandViewSpec
from headrace.schemas.plan import Plan
from tests.support.properties import tries
from tests.support.purchases import purchases_plan

parts = st.sampled_from(["a", "b", "c", "a__b", "b__c", "a__b__c", "a_", "_b", "_"])


def fields(names: Any, dtype: Any = "Int64") -> tuple[FieldSpec, ...]:
    return tuple(FieldSpec(name=name, dtype=dtype) for name in names)


def refs_of(plan: Plan) -> list[FeatureRef]:
    views = (*plan.batch_views, *plan.on_demand_views)
    return [FeatureRef(view=view.name, feature=f.name) for view in views for f in view.features]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Views over join keys of their own, and an on-demand view of some of their features and a request."""
    names = draw(st.lists(parts, min_size=1, max_size=4, unique=True))
    views = tuple(
        BatchViewSpec(
            name=name,
            join_keys=fields([draw(st.sampled_from(["key", "a", "a__b"]))]),
            features=fields(draw(st.lists(parts, min_size=1, max_size=2, unique=True))),
        )
        for name in names
    )
    plan = Plan(project="p", batch_views=views)
    if draw(st.booleans()):
        inputs = draw(st.lists(st.sampled_from(refs_of(plan)), max_size=3, unique=True))
        on_demand = OnDemandViewSpec(
            name=draw(parts.filter(lambda name: name not in names)),
            mode="python",
            inputs=tuple(inputs),
            request=fields(draw(st.lists(parts, max_size=2, unique=True))),
            features=fields(draw(st.lists(parts, min_size=1, max_size=2, unique=True))),
            file="f.py",
            definition="",
        )
        plan = plan.model_copy(update={"on_demand_views": (on_demand,)})
    return plan


@tries(100)
@given(plan=plans(), data=st.data())
def test_a_clash_is_told_where_two_of_what_is_read_have_one_full_name(plan, data):
    every = refs_of(plan)
    refs = data.draw(st.lists(st.sampled_from(every), min_size=1, max_size=4, unique=True))
    read = {*refs, *plan.stored(refs)}
    others = {key.name for ref in plan.stored(refs) for key in plan.view(ref.view).join_keys}
    others |= {field.name for view in plan.on_demand_of(refs) for field in view.request}
    counts = Counter([*(ref.full_name for ref in read), *others])
    given_twice = [
        ref.feature
        for view in plan.on_demand_of(refs)
        for ref in view.inputs
        if ref.feature
        in {f.name for f in view.request}
        | {other.full_name for other in view.inputs}
        | {key.name for one in view.inputs for key in plan.view(one.view).join_keys}
    ]
    clash = name_clash(plan, refs)
    assert (clash is not None) == (max(counts.values()) > 1 or bool(given_twice))
    if clash is not None:
        named = [name for name, count in counts.items() if count > 1] + given_twice
        assert any(f"'{name}'" in clash for name in named)


@pytest.mark.parametrize(
    ("refs", "fields", "said"),
    [
        (["a:b__c", "a__b:c"], (), "feature 'a:b__c' and feature 'a__b:c' are both called 'a__b__c'"),
        (["a:b__c"], ("a__b__c",), "a field of the request and feature 'a:b__c' are both called 'a__b__c'"),
        (["a:key"], (), None),
        (
            ["a:b__c", "a:key2 by x"],
            (),
            "feature 'a:b__c' and feature 'a:key2 by key=x' are of two views by one name",
        ),
        (["b:c as a", "a:key"], (), "feature 'a:c of b' and feature 'a:key' are of two views by one name"),
        (["b:c by x", "a:key by x as d"], (), None),
        (["a:b__c"], ("key",), None),
    ],
)
def test_the_two_are_named(refs: list[str], fields: Any, said: str | None) -> None:
    assert name_clash(CLASHING, of(refs), fields) == said


def of(names: list[str]) -> list[FeatureRef]:
    """Of ``view:feature``, `` by`` the column of its join key, `` as`` another name."""
    refs = []
    for name in names:
        read, _, alias = name.partition(" as ")
        feature, _, column = read.partition(" by ")
        view, feature = feature.split(":")
        keys = ((CLASHING.view(view).join_keys[0].name, column),) if column else ()
        refs.append(FeatureRef(view=view, feature=feature, alias=alias, join_key_map=keys))
    return refs


CLASHING = Plan(
    project="p",
    batch_views=(
        BatchViewSpec(name="a", join_keys=fields(["key"]), features=fields(["b__c", "key2", "key"])),
        BatchViewSpec(name="a__b", join_keys=fields(["key"]), features=fields(["c"])),
        BatchViewSpec(name="b", join_keys=fields(["key2"]), features=fields(["c"])),
    ),
)


def test_a_field_of_two_types_is_told() -> None:
    on_demand = OnDemandViewSpec(
        name="o",
        mode="python",
        inputs=tuple(of(["b:c"])),
        request=fields(["key2"], "String"),
        features=fields(["y"]),
        file="f.py",
        definition="",
    )
    plan = CLASHING.model_copy(update={"on_demand_views": (on_demand,)})
    assert name_clash(plan, of(["o:y"])) == "'key2' of the request is both String and Int64"
    same = on_demand.model_copy(update={"request": fields(["key2"])})
    assert name_clash(plan.model_copy(update={"on_demand_views": (same,)}), of(["o:y"])) is None


def test_the_columns_of_the_feature_log_are_those_that_features_must_not_be_called() -> None:
    view = purchases_plan().stream_views[0]
    own = {key.name for key in view.join_keys} | {feature.name for feature in view.features}
    assert [n for n in log_schema(view).names if n not in own] == [*LOG_COLUMNS[:-1]]
