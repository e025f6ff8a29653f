"""Expectations as tags of a Kafka source: read, and refused with the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.featurestore.compile.definition import Definition
from headrace.featurestore.compile.event_schema import EventColumn
from headrace.featurestore.compile.expectations import compile_expectations
from headrace.featurestore.compile.features import compile_features
from headrace.featurestore.plans.diff import plan_changes
from headrace.featurestore.plans.safety import unsafe_changes
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import ExpectationSpec
from tests.support.edits import Replace

COLUMNS = {
    column.name: column
    for column in (
        EventColumn("amount", "double"),
        EventColumn("items", "int"),
        EventColumn("shop", "string"),
        EventColumn("paid", "boolean"),
        EventColumn("lines", "other"),
        EventColumn("at", "long"),
    )
}


def read(field: str, text: str) -> ExpectationSpec:
    definition = Definition("features.py", "Kafka source 'purchases'")
    (found,) = compile_expectations(definition, {f"expect.{field}": text, "key": "shop"}, COLUMNS, "at")
    return found


def test_all_that_can_be_expected() -> None:
    amount = ExpectationSpec(field="amount", least=0.0, most=1e4, null_share=0.05, quarantine=True)
    assert read("amount", "min=0 max=10000 nulls=0.05 quarantine") == amount
    assert read("shop", "in='a|New York'") == ExpectationSpec(field="shop", categories=("a", "New York"))
    assert read("items", "in=1|2|-3").categories == ("1", "2", "-3")
    assert read("paid", "in=true").categories == ("true",)
    assert read("at", "fresh=300").fresh_ms == 300_000


@pytest.mark.parametrize("text", ["min=0 max=10000 nulls=0.05 quarantine", "min=-1.5"])
def test_an_expectation_is_told_as_it_is_declared(text: str) -> None:
    assert read("amount", text).text == text


REFUSED = {
    "a word that means nothing": ("amount", "mim=0", ("'mim=0'", "'min='")),
    "no number": ("amount", "min=a", ("'min=a' is no number",)),
    "a range of a text": ("shop", "min=0", ("which is string", "in=")),
    "a range upside down": ("amount", "min=2 max=1", ("min=2 is above max=1",)),
    "categories of a floating number": ("amount", "in=1.5", ("that is double", "min= and max=")),
    "categories of another type": ("items", "in=a", ("that is int",)),
    "a field that is no plain one": ("lines", "nulls=0", ("plain field",)),
    "a share above one": ("amount", "nulls=5", ("no share", "below 1")),
    "a share quarantined": ("amount", "nulls=0.1 quarantine", ("no property of one record", "nulls=0")),
    "freshness of a field that is no event time": ("items", "fresh=60", ("that of the event time",)),
    "nothing": ("amount", "quarantine", ("expects nothing",)),
    "an open quotation mark": ("shop", "in='a", ("quotation",)),
}


@pytest.mark.parametrize(("field", "text", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses(field: str, text: str, said: tuple[str, ...]) -> None:
    with pytest.raises(DefinitionError) as refused:
        read(field, text)
    assert str(refused.value).startswith(
        f"features.py: Kafka source 'purchases', tag 'headrace.expect.{field}'"
    )
    for words in said:
        assert words in str(refused.value)


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
