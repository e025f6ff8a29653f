"""The inputs of a model: the same dict for learning as for serving."""

from __future__ import annotations

import math
import random
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.featurestore.logged_values import to_logged
from headrace.learners.models.inputs import GREATEST, Inputs
from headrace.schemas.feature_specs import BatchViewSpec, FeatureRef, FeatureServiceSpec, FieldSpec
from headrace.schemas.plan import Plan
from headrace.schemas.records import Prediction
from headrace.schemas.router_specs import LearnerSpec
from tests.support.flight_learners import flights, prediction
from tests.support.join_builders import a_prediction
from tests.support.properties import tries


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return flights(tmp_path_factory.mktemp("project"))[0]


def test_inputs_are_sorted_without_nulls_and_may_be_entities(plan: Plan) -> None:
    inputs = Inputs(plan, plan.learner("tree"))
    x = inputs.select(
        {"delays__mean": None, "delays__count": 3, "other__f": 1}, {"distance": 5}, {"origin": "JFK"}
    )
    assert list(x.items()) == [("delays__count", 3), ("distance", 5), ("origin", "JFK")]


def test_a_learner_without_a_service_reads_the_request_alone(plan: Plan) -> None:
    features, request = {"delays__mean": 1.0, "delays__count": 2}, {"distance": 5, "flight": "f"}
    assert Inputs(plan, plan.learner("static")).select(features, request, {}) == {"distance": 5}
    assert Inputs(plan, plan.learner("base")).select(features, request, {}) == {}


def test_a_field_of_the_request_comes_before_a_join_key_of_its_name(plan: Plan) -> None:
    inputs = Inputs(plan, plan.learner("tree"))
    assert inputs.select({}, {"origin": "EWR"}, {"origin": "JFK"}) == {"origin": "EWR"}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e155, -1e308, 10**300])
def test_a_number_that_no_model_survives_is_left_out_wherever_it_comes_from(plan: Plan, value: float) -> None:
    inputs = Inputs(plan, plan.learner("tree"))
    features, request = {"delays__mean": value, "delays__count": 3}, {"distance": value, "origin": "JFK"}
    assert inputs.select(features, request, {}) == {"delays__count": 3, "origin": "JFK"}


@pytest.mark.parametrize("arm", ["tree", "static"])
def test_a_text_among_numbers_and_a_number_among_texts_are_left_out(plan: Plan, arm: str) -> None:
    inputs = Inputs(plan, plan.learner(arm))
    features, request = {"delays__mean": "late", "delays__count": True}, {"distance": "far", "origin": 7}
    x = inputs.select(features, request, {})
    assert x == ({"delays__count": True} if arm == "tree" else {})


def test_a_field_that_nothing_declares_may_be_either_kind_until_it_is_bound(plan: Plan) -> None:
    spec = plan.learner("static").model_copy(update={"request": ("distance", "gate")})
    inputs = Inputs(plan, spec)
    assert [inputs.select({}, {"gate": gate}, {}) for gate in ("B12", 7)] == [{"gate": "B12"}, {"gate": 7}]
    assert inputs.unbound({"gate": "B12", "distance": 3}) == {"gate": "text"}
    bound = inputs.bound({"gate": "number", "distance": "text", "else": "text"})
    assert [bound.select({}, {"gate": gate}, {}) for gate in ("B12", True)] == [{}, {"gate": True}]
    assert bound.select({}, {"distance": 5}, {}) == {"distance": 5}  # declared
    assert bound.unbound({"gate": "B12", "distance": 3}) == {}
    assert bound.bound({}).select({}, {"gate": "B12"}, {}) == {"gate": "B12"}


def test_the_greatest_number_of_32_bits_is_none_of_them(plan: Plan) -> None:
    inputs = Inputs(plan, plan.learner("static"))
    assert inputs.select({}, {"distance": -GREATEST}, {}) == {"distance": -GREATEST}
    assert math.isfinite(GREATEST**4)


def test_a_logged_prediction_gives_what_was_served(plan: Plan) -> None:
    logged, inputs = prediction(plan, 1, random.Random(4)), Inputs(plan, plan.learner("tree"))
    served = inputs.select(logged.features, logged.request, logged.entities)
    assert served == inputs.of_prediction(logged)
    assert {"distance", "origin"} <= served.keys()


LISTED: dict[str, st.SearchStrategy[Any]] = {
    "Int64": st.integers(-(2**63), 2**63 - 1),
    "Float64": st.floats(),
    "String": st.text(max_size=4),
    "Bool": st.booleans(),
    "UnixTimestamp": st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0)),
}


@tries(60)
@given(data=st.data())
def test_a_model_learns_of_lists_what_it_was_asked_with(data: st.DataObject) -> None:
    """Served, logged, written, read, and learned from: each place that the length reaches, and no other."""
    dtypes = data.draw(st.lists(st.sampled_from(sorted(LISTED)), min_size=1, max_size=4))
    fields = tuple(
        FieldSpec.model_validate(
            {"name": f"f{n}", "dtype": f"Array({dtype})", "length": data.draw(st.integers(1, 4))}
        )
        for n, dtype in enumerate(dtypes)
    )
    view = BatchViewSpec(name="v", join_keys=(FieldSpec(name="k", dtype="Int64"),), features=fields)
    refs = tuple(FeatureRef(view="v", feature=field.name) for field in fields)
    learner = LearnerSpec(name="m", service="s", target="late", definition="d")
    service = FeatureServiceSpec(name="s", features=refs)
    plan = Plan(project="p", batch_views=(view,), services=(service,), learners=(learner,))
    served = [data.draw(st.none() | st.lists(LISTED[dtype], max_size=5)) for dtype in dtypes]
    logged = {
        each.name: to_logged(each.value(value))
        for ref, value in zip(refs, served, strict=True)
        for each in plan.logged_names(ref)
    }
    inputs = Inputs(plan, learner)
    asked_with = inputs.select(logged, {}, {})
    written = a_prediction("p", "k", 0, features=logged).to_bytes()
    assert inputs.of_prediction(Prediction.model_validate_json(written)) == asked_with
    within = {
        f"v__f{n}__{place}": to_logged(value)
        for n, values in enumerate(served)
        for place, value in enumerate((values or [])[: fields[n].length])
    }
    assert asked_with == {
        name: value
        for name, value in within.items()
        if not isinstance(value, float) or -GREATEST <= value <= GREATEST
    }
    assert list(asked_with) == sorted(asked_with)
