"""A plan with a stream view, a batch view, a service, two learners and a router, to be changed and used."""

from __future__ import annotations

from typing import Any

from headrace.schemas.feature_specs import (
    AggregationSpec,
    BatchViewSpec,
    FeatureRef,
    FeatureServiceSpec,
    FieldSpec,
    StreamViewSpec,
)
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import LearnerSpec
from tests.support.join_builders import a_router
from tests.support.purchases import purchases_plan

KEY = (FieldSpec(name="user", dtype="Int64"),)
SPENT = AggregationSpec(
    feature="spent", function="sum", column="items", window_ms=1000, hop_ms=100, dtype="Int64"
)
VISITS = SPENT.model_copy(update={"feature": "visits", "function": "count"})
ROUTER = a_router(
    1000,
    name="main",
    arms=("tree", "line"),
    champion="tree",
    target="bought",
    unit="user",
    entities=("user",),
    partitions=2,
)


def plan(*aggregations: AggregationSpec, **update: Any) -> Plan:
    source = purchases_plan("p").sources[0]
    view = StreamViewSpec(name="user_spent", source=source.name, join_keys=KEY, aggregations=aggregations)
    age = FieldSpec(name="age", dtype="Int64")
    refs = tuple(FeatureRef(view="user_spent", feature=a.feature) for a in aggregations)
    found = Plan(
        project="p",
        sources=(source,),
        stream_views=(view,),
        batch_views=(BatchViewSpec(name="profile", join_keys=KEY, features=(age,)),),
        services=(FeatureServiceSpec(name="all", features=refs),),
        learners=tuple(
            LearnerSpec(name=n, service="all", target="bought", definition=f"{n}{len(refs)}")
            for n in ROUTER.arms
        ),
        routers=(ROUTER,),
    )
    return found.model_copy(update=update)
