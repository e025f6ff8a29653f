"""Training sets as served: what predictions were made from, and nothing computed anew."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest

from headrace.featurestore.offline.served_dataset import as_served, router_of
from headrace.schemas.errors import HeadraceError
from headrace.schemas.feature_specs import BatchViewSpec, FeatureRef, FeatureServiceSpec, FieldSpec
from headrace.schemas.plan import Plan
from headrace.schemas.router_specs import LearnerSpec
from headrace.streams.join.example_archive import predictions_table
from tests.support.carrier_delays import START
from tests.support.join_builders import a_prediction, a_router

SERVED_BY = a_router(1, arms=("a",), champion="a", unit="carrier", entities=("carrier",))


def served(plan: Plan, service: str, *routers: str) -> Plan:
    """With routers that serve a service."""
    learner = LearnerSpec(name="a", service=service, target="late", definition="x")
    named = tuple(SERVED_BY.model_copy(update={"name": name}) for name in routers or ("delays",))
    return plan.model_copy(update={"learners": (learner,), "routers": named})


def test_the_vector_is_that_of_the_last_prediction_not_what_the_log_knows_by_now(plan: Plan) -> None:
    plan = served(plan, "delays")
    router = router_of(plan, "delays")
    at_ms = int(START.timestamp() * 1000)
    predictions = [
        a_prediction(
            f"p{n}",
            f"k{n}",
            at_ms + minute * 60_000,
            entities={"carrier": carrier},
            features={"carrier_delays__n_1h": n, "carrier_delays__mean_1h": None if n else 0.5},
        )
        for n, (carrier, minute) in enumerate([("UA", 0), ("UA", 30), ("AA", 10)])
    ]
    asked = pa.table(
        {
            "carrier": ["UA", "AA", "UA", "UA", "ZZ"],
            "event_timestamp": pa.array(
                [START + timedelta(minutes=m) for m in (29, 10, 30, -1, 99)], pa.timestamp("us", "UTC")
            ),
        }
    )
    for table in (predictions_table(predictions), predictions_table(predictions).slice(0, 0)):
        found = as_served(plan, "delays", asked, router, table)
        assert found.column_names[:5] == [
            *asked.column_names,
            "prediction_id",
            "served_timestamp",
            "carrier_delays__n_1h",
        ]
        none = [None] * 5
        ids = ["p0", "p2", "p1", None, None]
        assert found["prediction_id"].to_pylist() == (ids if len(table) else none)
        times = [START + timedelta(minutes=m) for m in (0, 10, 30)]
        assert found["served_timestamp"].to_pylist() == ([*times, None, None] if len(table) else none)
        counts, means = [0, 2, 1, None, None], [0.5, None, None, None, None]
        assert found["carrier_delays__n_1h"].to_pylist() == (counts if len(table) else none)
        assert found["carrier_delays__mean_1h"].to_pylist() == (means if len(table) else none)
        assert str(found.schema.field("carrier_delays__mean_1h").type) == "double"


def test_on_demand_features_as_served_are_those_that_were_logged(computed: Plan) -> None:
    plan = served(computed, "computed")
    at_ms = int(START.timestamp() * 1000)
    features = {"shares__per_plane": 7.5, "shares__in_front": True, "carrier_delays__mean_1h": 2.0}
    one = a_prediction("p", "k", at_ms, entities={"carrier": "UA"}, features=features)
    asked = pa.table({"carrier": ["UA"], "event_timestamp": pa.array([START], pa.timestamp("us", "UTC"))})
    table = predictions_table([one])
    found = as_served(plan, "computed", asked, router_of(plan, "computed"), table)
    assert found["shares__per_plane"].to_pylist() == [7.5]  # not what a function makes of anything
    assert found["shares__in_front"].to_pylist() == [True]
    inputs = plan.services[0].model_copy(
        update={"name": "inputs", "features": (FeatureRef(view="carrier_delays", feature="mean_1h"),)}
    )
    plan = plan.model_copy(update={"services": (*plan.services, inputs)})
    found = as_served(plan, "inputs", asked, plan.routers[0], table)
    assert found["carrier_delays__mean_1h"].to_pylist() == [2.0]


def test_a_feature_that_the_router_does_not_serve_is_refused(computed: Plan) -> None:
    plan = served(computed, "computed")
    asked = pa.table({"carrier": ["UA"], "event_timestamp": pa.array([START], pa.timestamp("us", "UTC"))})
    with pytest.raises(
        HeadraceError, match=r"router 'delays' does not serve .*carrier_delays__n_1h.* as of event"
    ):
        as_served(plan, "delays", asked, plan.routers[0], predictions_table([]))


def test_the_router_is_the_named_one_or_the_only_one(plan: Plan) -> None:
    with pytest.raises(HeadraceError, match=r"which router serves 'delays'\? Found none; name one"):
        router_of(plan, "delays")
    assert router_of(served(plan, "delays"), "delays").name == "delays"
    two = served(plan, "delays", "one", "two")
    with pytest.raises(HeadraceError, match="Found one, two; name one with --router"):
        router_of(two, "delays")
    assert router_of(two, "delays", "two").name == "two"


def test_lists_as_served_are_columns_of_their_elements(plan: Plan) -> None:
    seats = FieldSpec(name="seats", dtype="Array(Int32)", length=3)
    fleet = BatchViewSpec(
        name="fleet", join_keys=(FieldSpec(name="carrier", dtype="String"),), features=(seats,)
    )
    service = FeatureServiceSpec(name="fleet", features=(FeatureRef(view="fleet", feature="seats"),))
    plan = plan.model_copy(update={"batch_views": (fleet,), "services": (*plan.services, service)})
    plan = served(plan, "fleet")
    features = {"fleet__seats__0": 150, "fleet__seats__1": 180, "fleet__seats__2": None}
    one = a_prediction("p", "k", int(START.timestamp() * 1000), entities={"carrier": "UA"}, features=features)
    asked = pa.table(
        {"carrier": ["UA", "ZZ"], "event_timestamp": pa.array([START] * 2, pa.timestamp("us", "UTC"))}
    )
    found = as_served(plan, "fleet", asked, plan.routers[0], predictions_table([one]))
    assert {name: found[name].to_pylist() for name in features} == {
        name: [value, None] for name, value in features.items()
    }
    assert {str(found.schema.field(name).type) for name in features} == {"int32"}
