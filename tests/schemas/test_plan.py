"""The plan's hash says what is in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.schemas.errors import PlanError
from headrace.schemas.plan import Plan
from tests.support.purchases import purchases_plan


def test_equal_plans_have_one_hash_and_a_changed_copy_another() -> None:
    plan = purchases_plan()
    assert plan.hash == purchases_plan().hash == Plan.from_json(plan.to_json()).hash
    changed = plan.model_copy(update={"project": "other"})
    assert changed.hash != plan.hash
    assert changed.model_copy(update={"project": plan.project}).hash == plan.hash


def test_fields_that_are_not_known_are_those_of_a_newer_version() -> None:
    raw: dict[str, Any] = json.loads(purchases_plan().to_json())
    raw["colour"] = "blue"
    raw["stream_views"][1]["aggregations"][0]["decay_ms"] = 5
    with pytest.raises(PlanError, match=r"does not know: .*applied by a newer version") as caught:
        Plan.from_json(json.dumps(raw))
    for field in ("colour", "stream_views.1.aggregations.0.decay_ms"):
        assert field in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "is a list, not an object"),
        ('{"version": 2}', "has version 2, this Headrace reads 1"),
        ('{"version": 1}', "cannot be read: project: Field required"),
        ('{"version": 1, "project": "p", "routers": 7}', "cannot be read: routers: "),
    ],
)
def test_what_is_no_plan_is_told(text: str, said: str) -> None:
    with pytest.raises(PlanError, match=f"the plan {said}.*headrace apply"):
        Plan.from_json(text)
