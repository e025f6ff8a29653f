"""Consumers of features: directly, through an on-demand view, through a service, as an arm of a router."""

from __future__ import annotations

from headrace.featurestore.plans.consumers import Consumers, consumers_of, consumers_of_services, with_inputs
from headrace.schemas.feature_specs import FeatureRef, FeatureServiceSpec, FieldSpec, OnDemandViewSpec
from tests.support.usage_plan import SPENT, VISITS, plan

SPENT_REF, VISITS_REF = (FeatureRef(view="user_spent", feature=name) for name in ("spent", "visits"))
AGE, RATIO = FeatureRef(view="profile", feature="age"), FeatureRef(view="ratios", feature="ratio")
RATIOS = OnDemandViewSpec(
    name="ratios",
    mode="python",
    inputs=(VISITS_REF, AGE),
    request=(),
    features=(FieldSpec(name="ratio", dtype="Float64"),),
    file="features.py",
    definition="",
)
PLAN = plan(
    SPENT,
    VISITS,
    on_demand_views=(RATIOS,),
    services=(
        FeatureServiceSpec(name="all", features=(SPENT_REF,)),
        FeatureServiceSpec(name="computed", features=(RATIO,)),
        FeatureServiceSpec(name="both", features=(SPENT_REF, RATIO)),
    ),
)


def test_a_feature_is_consumed_by_services_and_by_the_learners_and_routers_behind_them() -> None:
    assert consumers_of(PLAN, [SPENT_REF]) == Consumers(("all", "both"), ("line", "tree"), ("main",))


def test_a_feature_is_consumed_through_an_on_demand_view() -> None:
    for ref in (VISITS_REF, AGE, RATIO):
        assert consumers_of(PLAN, [ref]) == Consumers(("both", "computed"))


def test_a_feature_without_consumers_has_none() -> None:
    found = consumers_of(plan(SPENT), [AGE])
    assert found == Consumers()
    assert not found


def test_services_come_with_what_reads_them() -> None:
    assert consumers_of_services(PLAN, ["computed"]) == Consumers(("computed",))
    assert str(consumers_of_services(PLAN, ["all"])) == (
        "service 'all', learner 'line', learner 'tree', router 'main'"
    )


def test_inputs_follow_the_features_once() -> None:
    assert with_inputs(PLAN, [RATIO, AGE, SPENT_REF]) == (RATIO, AGE, SPENT_REF, VISITS_REF)


def test_a_feature_is_consumed_under_another_name_and_by_other_columns() -> None:
    spent = SPENT_REF.model_copy(update={"alias": "giver", "join_key_map": (("user", "giver"),)})
    renamed = plan(SPENT, services=(FeatureServiceSpec(name="gifts", features=(spent,)),))
    assert consumers_of(renamed, [SPENT_REF]) == Consumers(("gifts",))
    assert with_inputs(renamed, [spent]) == (SPENT_REF,)
