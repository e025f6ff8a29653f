"""What a definition says of itself and refuses of its tags, durations and types."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from feast.types import Array, Float64, Map

from headrace.featurestore.compile.definition import Definition, suggestion
from headrace.schemas.errors import DefinitionError
from headrace.schemas.feature_types import JOIN_KEY_TYPES

VIEW = Definition("features.py", "view 'v'")


def refusal(call: Any) -> str:
    with pytest.raises(DefinitionError) as refused:
        call()
    return str(refused.value)


def test_an_error_of_a_part_names_the_whole() -> None:
    error = VIEW.part("feature 'n'").error("it is odd", "Make it even")
    assert (error.file, error.name) == ("features.py", "view 'v', feature 'n'")
    assert str(error) == "features.py: view 'v', feature 'n': it is odd. Make it even"


def test_durations_are_whole_milliseconds() -> None:
    assert VIEW.milliseconds("ttl", timedelta(seconds=1.5)) == 1500
    assert VIEW.milliseconds("ttl", timedelta(0)) == 0
    for duration in (timedelta(microseconds=1), timedelta(seconds=-1)):
        said = refusal(partial(VIEW.milliseconds, "ttl", duration))
        assert f"ttl is {duration}. Give a duration" in said


def test_tags_for_headrace_are_known_or_free() -> None:
    tags = {"headrace.key": "a", "headrace.expect.x": "min=0", "team": "b"}
    assert VIEW.tags(tags, ("key",), "expect.") == {"key": "a", "expect.x": "min=0"}
    assert "tag 'headrace.kye' means nothing. Did you mean 'headrace.key'?" in refusal(
        lambda: VIEW.tags({"headrace.kye": "a"}, ("key", "shards"))
    )
    assert "Known: none" in refusal(lambda: VIEW.tags({"headrace.key": "a"}, ()))


@pytest.mark.parametrize("text", ["0", "-3", "1.5", "many", ""])
def test_a_tag_that_is_no_whole_number_is_refused(text: str) -> None:
    said = refusal(lambda: VIEW.whole_number({"shards": text}, "shards", default=4, least=1, most=9))
    assert f"tag 'headrace.shards' is '{text}'. Give a whole number from 1 to 9" in said


def test_a_whole_number_has_a_default() -> None:
    assert VIEW.whole_number({}, "shards", default=4, least=1, most=9) == 4
    assert VIEW.whole_number({"shards": "9"}, "shards", default=4, least=1, most=9) == 9


def test_types_go_by_their_names() -> None:
    assert VIEW.value_type("x", Float64) == "Float64"
    assert VIEW.value_type("x", Array(Float64)) == "Array(Float64)"
    assert "field 'x' has type Map. Use one of Int32, " in refusal(lambda: VIEW.value_type("x", Map))
    assert refusal(lambda: VIEW.value_type("x", Map)).endswith(", or an Array or Set of such")
    said = refusal(lambda: VIEW.value_type("x", Float64, JOIN_KEY_TYPES))
    assert said.endswith(f"has type Float64. Use one of {', '.join(JOIN_KEY_TYPES)}")


def test_a_suggestion_is_the_nearest_name_or_all_of_them() -> None:
    assert suggestion("carier", {"origin", "carrier"}) == "Did you mean 'carrier'?"
    assert suggestion("x", {"origin", "carrier"}) == "Known: carrier, origin"
    assert suggestion("x", []) == "Known: none"
