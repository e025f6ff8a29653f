"""Expectations of sources and of views, as the tags of a repository declare them."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.plans.diff import plan_changes
from headrace.featurestore.plans.safety import unsafe_changes
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import ExpectationSpec
from tests.support.edits import Replace


def test_a_source_has_the_expectations_of_its_tags(repo: Path, replace: Replace) -> None:
    before = compile_features(repo).plan()
    replace('"headrace.schema_id": "7"', '"headrace.schema_id": "7", "headrace.expect.note": "nulls=0.5"')
    after = compile_features(repo).plan()
    assert after.sources[0].expectations == (ExpectationSpec(field="note", null_share=0.5),)
    (change,) = plan_changes(before, after)
    assert change.lines == ("+ expectation of note: nulls=0.5",)
    assert unsafe_changes(before, after) == []


def test_an_expectation_of_a_field_that_is_not_there_is_refused_with_the_nearest(
    repo: Path, replace: Replace
) -> None:
    replace('"headrace.schema_id": "7"', '"headrace.expect.seat": "min=0"')
    with pytest.raises(DefinitionError, match=r"Did you mean 'headrace\.expect\.seats'"):
        compile_features(repo)


def test_a_view_has_expectations_of_its_features_that_are_no_part_of_its_definition(
    repo: Path, replace: Replace
) -> None:
    before = compile_features(repo).plan()
    replace('tags={"headrace.quantum"', 'tags={"headrace.expect.mean_1h": "min=-60", "headrace.quantum"')
    replace("ttl=timedelta(0),", 'ttl=timedelta(0), tags={"headrace.expect.fleet": "min=0"},')
    after = compile_features(repo).plan()
    assert [(each.view, each.features[0].text) for each in after.expectations] == [
        ("airlines", "min=0"),
        ("carrier_delays", "min=-60"),
    ]
    assert after.stream_views == before.stream_views
    told = [line for change in plan_changes(before, after) for line in change.lines]
    assert told == ["+ expectation of mean_1h: min=-60", "+ expectation of fleet: min=0"]


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ('"headrace.expect.mean_1": "min=0"', "Did you mean 'headrace.expect.mean_1h'"),
        ('"headrace.expect.mean_1h": "min=0 quarantine"', "Quarantine the field"),
        ('"headrace.expect.mean_1h": "fresh=3"', "that of the event time"),
    ],
)
def test_what_cannot_be_expected_of_a_feature_is_refused(
    repo: Path, replace: Replace, tag: str, said: str
) -> None:
    replace('tags={"headrace.quantum": "dep_delay=0.01"}', f"tags={{{tag}}}")
    with pytest.raises(DefinitionError, match=said) as refused:
        compile_features(repo)
    assert refused.value.file == "features.py"
    assert "stream feature view 'carrier_delays'" in refused.value.name
