"""Records of topics: what does not fit is told with what to do about it."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from headrace.schemas.records import Outcome, misfit

OUTCOME = {"outcome_id": "o", "key": "k", "label": 1.0, "ts_ms": 5}


def told(raw: dict[str, object]) -> str:
    with pytest.raises(ValidationError) as caught:
        Outcome.model_validate_json(json.dumps(raw))
    return misfit(caught.value)


def test_a_field_that_is_not_known_is_that_of_a_newer_headrace() -> None:
    assert told(OUTCOME | {"v": 2, "weight": "x"}) == (
        "fields that this Headrace does not know: v, weight; it was written by a newer one: run that one"
    )


def test_other_faults_are_told_by_their_fields() -> None:
    found = told({**OUTCOME, "label": [], "ts_ms": None})
    assert "label.number: Input should be a valid number" in found
    assert "ts_ms: Input should be a valid integer" in found
