"""The expectation of a field: read from the text of its tag, and refused with the way out."""

from __future__ import annotations

import pytest

from headrace.featurestore.compile.definition import Definition
from headrace.featurestore.compile.event_schema import EventColumn
from headrace.featurestore.compile.expectation_tag import read_expectation
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_specs import ExpectationSpec

COLUMNS = {
    column.name: column
    for column in (
        EventColumn("amount", "double"),
        EventColumn("items", "int"),
        EventColumn("shop", "string"),
        EventColumn("paid", "boolean"),
        EventColumn("lines", "other"),
        EventColumn("at", "long"),
        EventColumn("kind", "string", symbols=("VIEW", "BUY")),
    )
}


def read(field: str, text: str) -> ExpectationSpec:
    definition = Definition("features.py", f"Kafka source 'purchases', tag 'headrace.expect.{field}'")
    return read_expectation(definition, COLUMNS[field], text, is_event_time=field == "at")


def test_all_that_can_be_expected() -> None:
    amount = ExpectationSpec(field="amount", least=0.0, most=1e4, null_share=0.05, quarantine=True)
    assert read("amount", "min=0 max=10000 nulls=0.05 quarantine") == amount
    assert read("shop", "in='a|New York'") == ExpectationSpec(field="shop", categories=("a", "New York"))
    assert read("items", "in=1|2|-3").categories == ("1", "2", "-3")
    assert read("paid", "in=true").categories == ("true",)
    assert read("kind", "in=BUY|VIEW quarantine").categories == ("BUY", "VIEW")
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
    "what is no symbol of an enum": ("kind", "in=VIEW|BYU", ("that has no 'BYU'", "Did you mean 'BUY'?")),
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
