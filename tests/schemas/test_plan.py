"""The plan's hash says what is in it."""

from __future__ import annotations

from schemas.plan import Plan
from tests.streams.plans import purchases_plan


def test_equal_plans_have_one_hash_and_a_changed_copy_another() -> None:
    plan = purchases_plan()
    assert plan.hash == purchases_plan().hash == Plan.from_json(plan.to_json()).hash
    changed = plan.model_copy(update={"project": "other"})
    assert changed.hash != plan.hash
    assert changed.model_copy(update={"project": plan.project}).hash == plan.hash
