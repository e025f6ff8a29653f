"""What a learner reads: served features, request fields of on-demand views, join keys, with their types."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace import Learner
from headrace.learners.compile.features import Features, avro_fields
from headrace.schemas.feature_specs import FeatureRef, FieldSpec, OnDemandViewSpec
from tests.support.flight_learners import FeatureDefinitions, feature_definitions


def learner(service: str | None, *request: str) -> Learner:
    return Learner("one", lambda: None, service, "late", request)


@pytest.fixture
def definitions() -> FeatureDefinitions:
    """The service has an on-demand view besides, of a stored feature and a field of the request."""
    definitions = feature_definitions()
    view = OnDemandViewSpec(
        name="ratios",
        mode="python",
        inputs=(FeatureRef(view="delays", feature="count"),),
        request=(FieldSpec(name="seats", dtype="Int32"),),
        features=(FieldSpec(name="mean", dtype="Float64"),),
        file="features.py",
        definition="d",
    )
    (service,) = definitions.services
    features = (*service.features, FeatureRef(view="ratios", feature="mean"))
    return replace(
        definitions, services=(service.model_copy(update={"features": features}),), on_demand_views=(view,)
    )


def test_served_features_have_the_types_of_their_views(definitions: FeatureDefinitions) -> None:
    features = Features(definitions)
    served = features.served(learner("delays"))
    assert {name: field.dtype for name, field in served.items()} == {
        "delays__mean": "Float64",
        "delays__count": "Int64",
        "ratios__mean": "Float64",
    }
    assert features.served(learner(None)) == {}


def test_an_on_demand_view_brings_its_request_fields_and_the_join_keys_of_its_inputs(
    definitions: FeatureDefinitions,
) -> None:
    features = Features(definitions)
    assert features.on_demand_fields(learner("delays")) == [
        ("ratios", FieldSpec(name="seats", dtype="Int32"))
    ]
    assert features.join_keys(learner("delays")) == [("delays", FieldSpec(name="origin", dtype="String"))]
    assert features.on_demand_fields(learner(None)) == features.join_keys(learner(None)) == []


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("origin", "String"), ("seats", "Int32"), ("distance", "Int64"), ("ts", "Int64"), ("other", "Float64")],
)
def test_a_request_field_has_the_type_of_its_namesake(
    definitions: FeatureDefinitions, name: str, dtype: str
) -> None:
    assert Features(definitions).request_type(name) == dtype


def test_the_fields_of_an_event_have_the_types_of_their_first_branch(definitions: FeatureDefinitions) -> None:
    assert avro_fields(definitions.sources[0]) == {
        "flight": "String",
        "late": "Float64",
        "origin": "String",
        "distance": "Int64",
        "ts": "Int64",
    }
